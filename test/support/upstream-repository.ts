// SPDX-License-Identifier: Apache-2.0

/** A clean git repository as OpenShell is, for a merge: a clone of a real one, or the miniature with call sites like its. */

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeMiniature } from './miniature.ts';
import { AMONG_OTHERS, CALLS, SCRIPTS } from './replaced-scripts.ts';

const HEADER = '# SPDX-License-Identifier: Apache-2.0\n';
const own = (name: string) => `tasks/scripts/${name}.sh`;

/** Runs git in a repository, as nobody in particular. */
export function git(root: string, ...args: readonly string[]): string {
  const author = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', ['-C', root, ...author, ...args], { encoding: 'utf8' });
}

/**
 * @param at a directory that is not there yet
 * @param real a checkout to clone; without it the miniature is taken
 */
export function upstreamRepository(at: string, real?: string): string {
  const root = resolve(at);
  if (real !== undefined) {
    execFileSync('git', ['clone', '--quiet', '--shared', real, root]);
    return root;
  }
  makeMiniature({ at: root });
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    if (path.endsWith('.sh')) chmodSync(join(root, path), 0o755);
  }
  git(root, 'init', '--quiet');
  git(root, 'add', '--all');
  git(root, 'commit', '--quiet', '--message', 'upstream');
  return root;
}

function taskEntry([name, { script, args = '--force', isHidden, env, isSkippedOnWindows }]: (typeof ENTRIES)[number]) {
  return [
    `["${name}"]`,
    `description = "What ${name} does"`,
    ...(env === undefined ? [] : [`env = { ${Object.entries(env).map(([key, value]) => `${key} = "${value}"`)} }`]),
    ...(name === 'gateway' ? ['depends = ["other"]'] : []),
    ...(name === 'sandbox' ? ['raw = true', 'usage = """', 'arg "[command]" var=#true', '"""'] : []),
    `run = "${script} ${args}"`,
    ...(isSkippedOnWindows ? [`run_windows = "echo Skipping ${name}: not here."`] : []),
    ...(isHidden ? ['hide = true'] : []),
    '\n',
  ].join('\n');
}

const ENTRIES = Object.entries(CALLS);

const WORKFLOW = `name: Build
on:
  push:
    paths:
      - "Cargo.toml"
      - "${own('stage-prebuilt-binaries')}"
      - "${own('verify-static-binary')}"
jobs:
  linux:
    runs-on: linux
    container:
      image: ci
    steps:
      - uses: actions/checkout@v7

      - name: Cache
        with:
          key: zig-\${{ hashFiles('${own('setup-zig-cc-wrapper')}') }}

      # ${'verify-static-binary.sh'} is for the other
      - name: Verify
        run: |
          if ! ${own('verify-glibc-symbols')} 2.28 "$BIN"; then exit 1; fi

      - name: Again
        run: mise exec -- ${own('docker-build-image')} gateway
  mac:
    runs-on: macos-latest
    steps:
      - name: Build
        run: ${own('vm/build-libkrun-macos')} --kernel-dir kernel
  other:
    runs-on: linux
    steps:
      - uses: actions/setup-node@0123456789 # v7
      - run: mise run --no-deps --skip-deps python:test
  harness:
    runs-on: linux
    steps:
      - run: mise run --no-deps --skip-deps "$E2E_TASK"
`;

/** What of OpenShell calls, sources, watches or mentions a script. */
const FILES: Readonly<Record<string, string>> = {
  'mise.toml': `[task_config]\nincludes = ["tasks/*.toml"]\n`,
  '.gitignore': `lib/\n*.so\ntarget/\n# from ${own('package-deb')}\n`,
  '.dockerignore': 'target\n',
  'tasks/docker.toml': `${HEADER}\n${ENTRIES.map(taskEntry).join('')}`,
  'tasks/other.toml': `${HEADER}
[other]
description = "Not one of ours"
run = "echo other"

["rust:verify:telemetry-off"]
description = "Among others"
run = [
  # ${own('gateway')} is not called here
  "cargo build",
  "${AMONG_OTHERS['rust:verify:telemetry-off']} absent target/debug/openshell-gateway",
]

["build:python:wheel:macos:docker"]
description = "Sources one"
run = """
#!/usr/bin/env bash
source ${AMONG_OTHERS['build:python:wheel:macos:docker']}
[ -n "$X" ] || true
[[ -n "$X" ]] || true
"""
`,
  ...Object.fromEntries(SCRIPTS.map((path) => [path, `#!/usr/bin/env bash\n\n${HEADER}\necho "bash $0 $*"\n`])),
  'e2e/run.sh': `source "\${ROOT}/${own('build-env')}"\neval "$("\${ROOT}/${own('setup-zig-cc-wrapper')}" a b c)"\n`,
  'e2e/with-docker-gateway.sh': `source "\${ROOT}/${own('container-engine')}"\n"\${ROOT}/${own('docker-build-image')}" supervisor\n`,
  'deploy/helm/openshell/skaffold.yaml': `build:
  custom:
    buildCommand: ${own('docker-build-image')} gateway
    dependencies:
      paths:
        - Cargo.toml
        - ${own('docker-build-image')}
        - ${own('stage-prebuilt-binaries')}
`,
  '.github/workflows/build.yml': WORKFLOW,
  'architecture/build.md': `Run \`${own('gateway-vm')}\`, see e2e/with-docker-gateway.sh; \`package-vm-runtime.sh\` packs.\n`,
  'scripts/agents/gator/bin/review_feedback_ledger_test.sh': `{"path": "${own('gateway-vm')}"}\n`,
};
