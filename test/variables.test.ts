// SPDX-License-Identifier: Apache-2.0

/** Each task reads exactly the environment variables that its help lists, and the page of variables says the same. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { VariableName } from '../lib/cli/variables.ts';
import { PRODUCT } from '../lib/product.ts';
import { addDeb } from './support/fake-deb.ts';
import { addWorkloads, EMPTY_STORE } from './support/fake-engine.ts';
import { FakeLaunch } from './support/fake-launch.ts';
import { listedVariables, TABLES_PAGE, taskNames, withTables } from './support/readme-tables.ts';
import { requireTools } from './support/real-tools.ts';
import { runProcess, SUITE_ROOT } from './support/run-task.ts';

const tools = requireTools('cc');

/** What is started to see what a task reads: a run with nothing set, and more where values lead to further reads. */
interface Case {
  readonly runs: readonly Run[];
  /** What is read and not listed, because it has no effect on the task: why it is read all the same. */
  readonly unlisted?: Readonly<Partial<Record<VariableName, string>>>;
  /** The tasks whose preflights it runs; what these read is listed by their own help. */
  readonly through?: readonly string[];
}

interface Run {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How it ends; 0 where nothing is said. A run that ends too early has not read everything. */
  readonly status?: number;
  /** Whether there is no engine on PATH. */
  readonly isWithoutEngine?: boolean;
}

const ZIG = 'checked wherever the Rust tools are looked for; a launch and a supervisor need no C compiler of zig';
const CLOSED = 'only so that cargo, or the gateway, does not get it';
const NO_EFFECT = 'only to say that it has no effect';
const LAUNCH = { IMAGE_TAG: CLOSED, ZIG } as const;
const LAUNCH_WITHOUT_SELECTION = { ...LAUNCH, OPENSHELL_DRIVERS: CLOSED } as const;
const DRY_RUN = ['--dry-run'];
const PACKAGED = {
  OPENSHELL_CLI_BINARY: 'in/openshell',
  OPENSHELL_GATEWAY_BINARY: 'in/openshell-gateway',
  OPENSHELL_DRIVER_VM_BINARY: 'in/openshell-driver-vm',
  OPENSHELL_DEB_VERSION: '1',
};

/** By the names of the tasks. */
const CASES: Readonly<Record<string, Case>> = {
  stage: {
    runs: [
      { args: DRY_RUN },
      { args: DRY_RUN, env: { EXTRA_CARGO_FEATURES: 'telemetry', OPENSHELL_CARGO_VERSION: '1.2.3' } },
    ],
  },
  'docker-build-image': {
    runs: [
      { args: ['gateway', ...DRY_RUN] },
      { args: ['gateway', ...DRY_RUN], env: { CONTAINER_ENGINE: 'docker', DOCKER_PUSH: '0', DOCKER_BUILDER: 'b' } },
      // The binaries that have been staged are verified, and there are none.
      { args: ['gateway', ...DRY_RUN], env: { CI: 'true' }, status: 2 },
    ],
  },
  'docker-build-ci': {
    runs: [{ args: DRY_RUN }, { args: DRY_RUN, env: { CONTAINER_ENGINE: 'docker', GITHUB_TOKEN: 'x' } }],
  },
  'e2e-gpu-build-images': { runs: [{ args: DRY_RUN }, { args: DRY_RUN, env: { CONTAINER_ENGINE: 'docker' } }] },
  'docker-publish-multiarch': {
    runs: [{ args: DRY_RUN, env: { DOCKER_REGISTRY: 'ghcr.io/org' } }],
  },
  'vm/build-supervisor-bundle': {
    runs: [{ args: DRY_RUN }, { args: DRY_RUN, env: { SUPERVISOR_LIBC: 'musl', OPENSHELL_CARGO_VERSION: '1.2.3' } }],
    unlisted: { ZIG },
  },
  'vm/build-libkrun': { runs: [{ args: DRY_RUN }], unlisted: { ZIG } },
  'docker-cleanup': { runs: [{ args: DRY_RUN, env: { CONTAINER_ENGINE: 'docker' } }, { args: DRY_RUN }] },
  // A dry run of another action reads less.
  'keycloak-dev': { runs: [{ args: ['start', ...DRY_RUN] }] },
  // It is refused on Linux, once everything has been read.
  'vm/build-libkrun-macos': { runs: [{ args: DRY_RUN, status: 2 }] },
  // Nothing is recorded of the programs that go with a build.
  'vm/vm-setup': {
    runs: [{ args: DRY_RUN }, { args: ['--from-source', ...DRY_RUN], status: 2 }],
  },
  'vm/download-kernel-runtime': { runs: [{ args: DRY_RUN }] },
  'vm/compress-vm-runtime': { runs: [{ args: DRY_RUN }] },
  'vm/package-vm-runtime': {
    runs: [{ args: ['--platform', 'linux-x86_64', '--build-dir', 'x', '--output', 'y', ...DRY_RUN], status: 2 }],
  },
  'vm/smoke-orphan-cleanup': { runs: [{ args: DRY_RUN }], unlisted: { ZIG } },
  'package-deb': {
    runs: [
      { args: DRY_RUN, env: PACKAGED },
      { args: DRY_RUN, env: { ...PACKAGED, OPENSHELL_DEB_ARCH: 'arm64', SOURCE_DATE_EPOCH: '1' }, status: 2 },
    ],
  },
  'package-deb-install': { runs: [{ args: DRY_RUN, env: { FAKE_SHOW: 'echo active; exit' } }], unlisted: { ZIG } },
  doctor: {
    runs: [{ args: [] }],
    through: ['docker-build-image', 'gateway', 'gateway-docker', 'gateway-podman', 'gateway-vm', 'stage'],
  },
  // The checkout has no tasks of its own.
  adopt: { runs: [{ args: DRY_RUN, status: 2 }] },
  sandbox: { runs: [{ args: DRY_RUN }, { args: DRY_RUN, env: { ANTHROPIC_API_KEY: 'x', usage_command: 'a b' } }] },
  'setup-zig-cc-wrapper': {
    runs: [
      { args: ['x86_64-unknown-linux-gnu.2.28', 'x86_64-linux-gnu.2.28', 'wrappers'] },
      { args: ['x86_64-unknown-linux-gnu.2.28', 'x86_64-linux-gnu.2.28', 'wrappers'], env: { GITHUB_ENV: 'env' } },
    ],
  },
  'helm-k3s-local': { runs: [{ args: ['create', ...DRY_RUN], env: { HELM_K3S_LB_HOST_PORT: '1' } }] },
  // There is neither a realm nor a context.
  'keycloak-k8s-setup': { runs: [{ args: DRY_RUN, status: 2 }] },
  // The program is neither static nor for so old a glibc.
  'verify-static-binary': { runs: [{ args: ['/bin/true'], status: 1 }] },
  'verify-glibc-symbols': { runs: [{ args: ['2.0', '/bin/true'], status: 1 }] },
  'verify-telemetry-compiled-out': { runs: [{ args: ['absent', '/bin/sh'] }] },
  'snap-gateway-wrapper': { runs: [{ args: [] }] },
  // There is nothing to test.
  'test-install-sh': { runs: [{ args: DRY_RUN, status: 1 }] },
  'test-packaging-assets': { runs: [{ args: [], status: 1 }] },
  // Whatever driver it selects, its launcher reads what that one's own help lists; kubernetes has no other launcher.
  gateway: {
    runs: [
      { args: ['--driver', 'k8s', ...DRY_RUN] },
      { args: [], isWithoutEngine: true, status: 2 },
      { args: DRY_RUN, env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' } },
    ],
    unlisted: LAUNCH,
  },
  'gateway-docker': {
    runs: [
      { args: DRY_RUN },
      { args: DRY_RUN, env: { OPENSHELL_SUPERVISOR_PROFILE: 'release', EXTRA_CARGO_FEATURES: 'telemetry' } },
    ],
    unlisted: LAUNCH_WITHOUT_SELECTION,
  },
  'gateway-podman': {
    runs: [{ args: DRY_RUN }, { args: DRY_RUN, env: { OPENSHELL_SUPERVISOR_IMAGE: 'given:1' } }],
    unlisted: { ...LAUNCH_WITHOUT_SELECTION, OPENSHELL_SANDBOX_NAMESPACE: NO_EFFECT },
  },
  'gateway-vm': {
    runs: [
      { args: DRY_RUN },
      { args: ['--gpu', ...DRY_RUN], env: { OPENSHELL_CARGO_VERSION: '1.2.3' } },
      // A runtime that is not there is set up.
      { args: DRY_RUN, env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'target/another' } },
    ],
    unlisted: {
      ...LAUNCH_WITHOUT_SELECTION,
      OPENSHELL_SANDBOX_NAMESPACE: NO_EFFECT,
      OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: NO_EFFECT,
    },
  },
};

/** Cargo reads it itself, from the environment that it gets. */
const OF_CARGO = 'CARGO_BUILD_JOBS';

describe('the variables that a task reads are those that its help lists', tools.options, () => {
  test('of every task', () => {
    const missing = taskNames().filter((name) => !(name in CASES));
    expect(missing, 'not in CASES of test/variables.test.ts: add runs that read each of their variables').toEqual([]);
    expect(Object.keys(CASES).sort()).toEqual(taskNames());
  });

  test.each(Object.entries(CASES))('%s', async (task, { runs, through = [], unlisted = {} }) => {
    const read = new Set<string>();
    for (const run of runs) for (const name of await readBy(task, run)) read.add(name);
    const listed = [...(await listedVariables(task)), ...Object.keys(unlisted)].filter((name) => name !== OF_CARGO);
    const message =
      'received: what it reads; expected: what its help lists (`variables` of its declaration); OPENSHELL_ROOT is read for the .env wherever any is listed; what is read without effect is `unlisted` in CASES';
    const ofOthers = (await Promise.all(through.map(listedVariables))).flat();
    const own = [...read].filter((name) => listed.includes(name) || !ofOthers.includes(name));
    expect(own.sort(), message).toEqual(listed.sort());
  });
});

/** The declared variables that a run of a task reads. */
async function readBy(task: string, run: Run): Promise<string[]> {
  const launch = new FakeLaunch(run.isWithoutEngine === true ? {} : EMPTY_STORE);
  launch.addRuntime();
  for (const name of ['gateway', 'ci']) {
    writeFileSync(join(launch.root, `deploy/docker/Dockerfile.${name}`), 'FROM scratch\n');
  }
  addWorkloads(launch.root);
  addLibkrun(launch);
  addDeb(launch);
  launch.addPins();
  mkdirSync(join(launch.root, 'scripts'));
  writeFileSync(join(launch.root, PRODUCT.keycloakRealm), '{}');
  const notFound = `echo 'status: NotFound' >&2; exit 1`;
  launch.tools.add('openshell', [
    { args: ['status', '-o', 'json'], script: `echo '{"status":"connected"}'` },
    { args: ['sandbox', 'get', 'dev'], script: notFound },
    { args: ['provider', 'get', 'anthropic'], script: notFound },
  ]);
  launch.tools.add('k3d', [{ args: ['cluster', 'list'], script: 'echo "[]"' }]);
  launch.tools.add('kubectl', [{ args: [], script: "echo '{}'" }]);
  const file = join(launch.tools.directory, 'variables');
  const recorder = join(import.meta.dirname, 'support/record-variables.ts');
  const script = join(SUITE_ROOT, 'tasks', `${task}.ts`);
  const env = await launch.launchEnv({ RECORD_VARIABLES_TO: file, ...run.env });
  const args = ['--import', recorder, script, ...run.args];
  const result = await runProcess(process.execPath, args, { cwd: launch.root, env });
  expect(result.status, result.stderr).toBe(run.status ?? 0);
  return readFileSync(file, 'utf8').split('\n').slice(0, -1);
}

/** What a build of libkrun looks for. */
function addLibkrun({ root, tools: fakes }: FakeLaunch): void {
  const clang = join(root, 'clang');
  for (const directory of [clang, dirname(join(root, PRODUCT.vmPins))]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(clang, 'libclang.so'), '');
  writeFileSync(join(root, PRODUCT.vmPins), `LIBKRUNFW_REF="\${LIBKRUNFW_REF:-main}"\n`);
  fakes.addSilent('git', 'make', 'python3').add('llvm-config', [{ args: ['--libdir'], script: `echo '${clang}'` }]);
}

test('the tables of variables say what the code says; to write them again: npm run tables', async () => {
  const page = readFileSync(join(SUITE_ROOT, TABLES_PAGE), 'utf8');
  expect(page).toBe(await withTables(page));
});
