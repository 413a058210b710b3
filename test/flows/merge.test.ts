// SPDX-License-Identifier: Apache-2.0

/**
 * `npm run merge -- COPY`, on the miniature as a git repository with tasks and call sites like OpenShell's, and on a clone
 * of the real one that `OPENSHELL_BASH_CHECKOUT` names.
 */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rewriteProse, rewriteWorkflow } from '../merge/call-sites.ts';
import { rewriteEntries } from '../merge/mise-entries.ts';
import { HOME, MAY_NAME, REPLACED, rewriteCalls, STAYING } from '../merge/scripts.ts';
import { FakeTools } from '../support/fake-tools.ts';
import { realCheckout, requireTools } from '../support/real-tools.ts';
import { replacementOf } from '../support/replaced-scripts.ts';
import { runMise } from '../support/run-mise.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { git, upstreamRepository } from '../support/upstream-repository.ts';

const tools = requireTools('git', 'mise');
const SOURCES = [
  ['the miniature', undefined, tools.options],
  ['a real checkout', realCheckout.path, realCheckout.ok ? tools.options : realCheckout.options],
] as const;

const merge = (args: readonly string[], cwd = SUITE_ROOT) =>
  runProcess(process.execPath, [join(SUITE_ROOT, 'test/merge/run.ts'), ...args], { cwd, env: tools.env });

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-merge-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function taskNames(root: string, ...flags: readonly string[]): Promise<string[]> {
  const env = { HOME: directory, MISE_TRUSTED_CONFIG_PATHS: root };
  const listed = await runMise(['tasks', '--json', ...flags], root, env);
  return (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
}

const textIn = (root: string, path: string) => readFileSync(join(root, path), 'utf8');

for (const [source, real, options] of SOURCES) {
  describe(source, options, () => {
    let root: string;
    let before: { readonly shown: string[]; readonly all: string[] };
    beforeAll(async () => {
      if (options.skip) return;
      root = upstreamRepository(join(directory, `a copy's of ${source}`), real);
      before = { shown: await taskNames(root), all: await taskNames(root, '--hidden') };
      expect(await merge([root])).toMatchObject({ status: 0, stderr: '' });
    });

    test('mise tasks lists the same names, and one hidden one more', async () => {
      expect(await taskNames(root)).toEqual(before.shown);
      expect(await taskNames(root, '--hidden')).toEqual([...before.all, 'tasks:deps'].sort());
    });

    test('MRG-1: git add takes every file of the suite, those below lib/ too', () => {
      git(root, 'add', '--all');
      const taken = git(root, 'ls-files', HOME).split('\n');
      expect(taken).toContain(`${HOME}/lib/build-env.ts`);
      const whole = git(SUITE_ROOT, 'ls-files').split('\n');
      expect(taken).toHaveLength(whole.filter((path) => !/^\.(ci|github)\//.test(path)).length);
      git(root, 'reset', '--quiet');
    });

    test('MRG-2: nothing names a script that is gone, except where its name is data', () => {
      const gone = git(root, 'ls-files', '--deleted').split('\n').filter(Boolean);
      expect(gone.length).toBeGreaterThan(15);
      const names = gone.map((path) => path.replace(/.*\//, '').replace('.', '[.]')).join('|');
      const isNaming = new RegExp(`(?<![\\w.-])(${names})\\b`);
      const texts = git(root, 'grep', '-lI', '--untracked', '-e', '[.]sh', '--', '.', `:!${HOME}`)
        .split('\n')
        .filter(Boolean);
      expect(texts.length).toBeGreaterThan(10);
      const naming = texts.filter((path) => isNaming.test(textIn(root, path)));
      expect(naming.filter((path) => MAY_NAME[path] === undefined)).toEqual([]);
    });

    test('MRG-3: cache keys and path filters follow the files that took the place', () => {
      const workflows = readdirSync(join(root, '.github/workflows')).map((name) =>
        textIn(root, `.github/workflows/${name}`),
      );
      const keys = workflows.flatMap((text) =>
        [...text.matchAll(/hashFiles\('([^']+)'/g)].map(([, path = '']) => path),
      );
      expect(keys).toContain(`${HOME}/tasks/setup-zig-cc-wrapper.ts`);
      for (const path of keys.filter((key) => !/[*]/.test(key))) expect(existsSync(join(root, path)), path).toBe(true);
      expect(workflows.filter((text) => text.includes(`- "${HOME}/**"`))).toHaveLength(1);
    });

    test('MRG-4: test:build-env is still skipped on Windows, and tests the script that stays', () => {
      const files = readdirSync(join(root, 'tasks')).filter((name) => name.endsWith('.toml'));
      const tasks = Object.assign({}, ...files.map((name) => parse(textIn(root, `tasks/${name}`))));
      expect(tasks['test:build-env']).toMatchObject({ run_windows: expect.stringContaining('Skipping'), hide: true });
      expect(tasks['test:build-env'].run).toContain('tasks/scripts/test-build-env.sh');
    });

    test('MRG-5: node_modules is no part of an image', () => {
      expect(textIn(root, '.dockerignore')).toMatch(/^\*\*\/node_modules$/m);
    });

    test('MRG-6: what others source stays as it was', () => {
      for (const script of STAYING)
        expect(git(root, 'diff', '--', script).replace(/^[+-]\s*#.*$/gm, ''), script).not.toMatch(/^[+-][^+-]/m);
    });

    test('MRG-7: a script that others call starts ours, and says so where there is no Node 24', async () => {
      const script = join(root, 'tasks/scripts/docker-build-image.sh');
      installDependencies(root);
      const ours = await runProcess(script, ['--help'], { cwd: '/', env: tools.env });
      expect(ours).toMatchObject({ status: 0, stdout: expect.stringContaining('docker-build-image.ts') });
      const fake = new FakeTools();
      symlinkSync('/usr/bin/dirname', join(fake.bin, 'dirname'));
      const without = await runProcess('/bin/bash', [script, '--help'], { cwd: '/', env: { PATH: fake.bin } });
      expect(without).toMatchObject({
        status: 2,
        stdout: '',
        stderr: expect.stringContaining('PATH has none; run it through mise'),
      });
      fake.add('node', [{ args: ['-p', 'process.versions.node'], script: 'echo 20.1.0' }]);
      const old = await runProcess('/bin/bash', [script, '--help'], { cwd: '/', env: { PATH: fake.bin } });
      expect(old).toMatchObject({ status: 2, stderr: expect.stringContaining('needs Node 24, and PATH has 20.1.0') });
    });

    test('mise run starts ours, anywhere in the checkout, with the arguments', async () => {
      installDependencies(root);
      const cwd = join(root, 'crates');
      const args = ['run', '--skip-deps', 'gateway', '--', '--help'];
      const result = await runMise(args, cwd, { HOME: temporaryDirectory(), MISE_TRUSTED_CONFIG_PATHS: root });
      expect(result).toMatchObject({ status: 0, stdout: expect.stringContaining('Usage: tasks/gateway.ts') });
    });

    test('a second merge is refused', async () => {
      expect(await merge([root])).toMatchObject({ status: 2, stderr: expect.stringContaining('exists; take a copy') });
    });
  });
}

/** What `npm ci --omit=dev` would do, without a network; npm could remove only the links. */
function installDependencies(root: string): void {
  const at = join(root, HOME, 'node_modules');
  if (existsSync(at)) return;
  mkdirSync(at);
  const modules = join(SUITE_ROOT, 'node_modules');
  for (const name of readdirSync(modules)) symlinkSync(join(modules, name), join(at, name));
}

describe('jobs of workflows', tools.options, () => {
  let jobs: string[];
  beforeAll(async () => {
    if (!tools.ok) return;
    const root = upstreamRepository(join(directory, 'jobs'));
    await merge([root]);
    jobs = textIn(root, '.github/workflows/build.yml').split(/^(?= {2}\w+:$)/m);
  });
  const job = (name: string) => jobs.find((text) => text.startsWith(`  ${name}:`)) ?? '';
  const stepsOf = (name: string) => [...job(name).matchAll(/^ {6}- (?:name: )?(.*)$/gm)].map(([, text]) => text);

  test('MRG-8: the dependencies are there before the first task, once', () => {
    const install = 'Install the dependencies of the tasks';
    expect(stepsOf('linux')).toEqual(['uses: actions/checkout@v7', 'Cache', install, 'Verify', 'Again']);
    expect(job('linux')).toContain(`if ! node ${HOME}/tasks/verify-glibc-symbols.ts 2.28 "$BIN"; then exit 1; fi`);
    expect(job('linux')).toContain(`mise exec -- node ${HOME}/tasks/docker-build-image.ts gateway`);
    expect(stepsOf('harness')[0]).toBe(install);
    expect(stepsOf('other')).not.toContain(install);
  });

  test('MRG-8: a job outside the CI image gets Node, as pinned elsewhere', () => {
    expect(stepsOf('mac')).toEqual(['Set up Node', 'Install the dependencies of the tasks', 'Build']);
    expect(job('mac')).toContain('uses: actions/setup-node@0123456789 # v7');
  });
});

describe('refused, and nothing is changed', tools.options, () => {
  const refusal = async (root: string) => {
    const { status, stderr, stdout } = await merge([root]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(existsSync(join(root, HOME))).toBe(false);
    return stderr;
  };

  test('changes that are not committed', async () => {
    const root = upstreamRepository(join(temporaryDirectory(), 'copy'));
    writeFileSync(join(root, 'Cargo.toml'), `${textIn(root, 'Cargo.toml')}\n`);
    expect(await refusal(root)).toMatch(
      /^error: '.*' has 1 change that is not committed, which .*; commit, or take a clean copy\n$/,
    );
  });

  test('no checkout, a directory in one, and one without git', async () => {
    const root = upstreamRepository(join(temporaryDirectory(), 'copy'));
    expect(await refusal(join(root, 'crates'))).toContain('is not an OpenShell checkout');
    expect(await refusal(join(root, 'absent'))).toContain('is not an OpenShell checkout');
    const bare = temporaryDirectory();
    mkdirSync(join(bare, 'crates/openshell-server'), { recursive: true });
    writeFileSync(join(bare, 'Cargo.toml'), '[workspace]\n');
    expect(await refusal(bare)).toContain('is not the top of a git clone');
  });
});

test('a dry run prints the plan and changes nothing', tools.options, async () => {
  const root = upstreamRepository(join(temporaryDirectory(), 'copy'));
  const { status, stdout } = await merge([root, '--dry-run']);
  expect(status).toBe(0);
  expect(stdout).toContain('shim: tasks/scripts/setup-zig-cc-wrapper.sh (called by e2e/run.sh)\n');
  expect(stdout).toContain('removed: tasks/scripts/gateway.sh\n');
  expect(git(root, 'status', '--porcelain')).toBe('');
});

test('MRG-9: a file that git would ignore is named', tools.options, async () => {
  const root = upstreamRepository(join(temporaryDirectory(), 'copy'));
  writeFileSync(join(root, '.gitignore'), 'pins/\n');
  git(root, 'commit', '--all', '--quiet', '--message', 'ignore');
  expect(await merge([root])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining(`git would ignore ${HOME}/pins/`),
  });
});

describe('texts', () => {
  test.each(REPLACED)('%s is found by its path and its name, and nothing else is', (script) => {
    const name = script.replace(/.*\//, '');
    const now = replacementOf(script);
    expect(rewriteProse(`\`${script}\` (../../${script}) ./${script} ${name}`)).toBe(
      `\`${HOME}/${now}\` (../../${HOME}/${now}) ./${HOME}/${now} ${now.replace(/.*\//, '')}`,
    );
    for (const other of [`e2e/with-${name}`, `x/${script}`, `${name}e`, `other/${name}`]) {
      expect(rewriteProse(other)).toBe(other);
    }
  });

  test.each<readonly [string, string]>([
    ['bash SCRIPT a', 'node OURS a'],
    ['- run: ./SCRIPT', '- run: node OURS'],
    ['A=1 B="$x" SCRIPT a', 'A=1 B="$x" node OURS a'],
    ['mise exec -- SCRIPT', 'mise exec -- node OURS'],
    ['cd x && SCRIPT; SCRIPT | tee y', 'cd x && node OURS; node OURS | tee y'],
    ['if ! SCRIPT; then exit; fi', 'if ! node OURS; then exit; fi'],
    ['(SCRIPT)', '(node OURS)'],
    ['  "SCRIPT a",', '  "node OURS a",'],
    ...[
      'cp SCRIPT y',
      'source SCRIPT',
      '. SCRIPT',
      'cat "SCRIPT"',
      '"SCRIPT" a',
      "'SCRIPT'",
      'x/SCRIPT',
      'SCRIPTs',
    ].map((line) => [line, line] as const),
  ])('MRG-2: of a call, %j becomes %j; what is no call is left, and has a shim', (before, after) => {
    const filled = (line: string) =>
      line.replaceAll('SCRIPT', 'tasks/scripts/sandbox.sh').replaceAll('OURS', `${HOME}/tasks/sandbox.ts`);
    expect(rewriteCalls(filled(before))).toBe(filled(after));
  });

  test('MRG-3: a key of several files, and filters in one line', () => {
    const [zig, stage] = ['tasks/scripts/setup-zig-cc-wrapper.sh', 'tasks/scripts/stage-prebuilt-binaries.sh'];
    expect(rewriteWorkflow(`key: \${{ hashFiles('Cargo.lock', '${zig}') }}\npaths: ["${stage}"]`, [])).toBe(
      `key: \${{ hashFiles('Cargo.lock', '${HOME}/tasks/setup-zig-cc-wrapper.ts', '${HOME}/lib/**') }}\n` +
        `paths: ["${HOME}/tasks/stage.ts"]`,
    );
  });

  test('an entry keeps its lines, its dependencies and its other calls', () => {
    const entry = '["a"]\ndepends = ["b"]\nrun = "tasks/scripts/gateway.sh"\nhide = true\n';
    expect(parse(rewriteEntries(entry, { a: { run: "node '$MISE_CONFIG_ROOT/tasks/gateway.ts'" } }))).toEqual({
      a: { depends: ['b', 'tasks:deps'], run: `node '$MISE_CONFIG_ROOT/${HOME}/tasks/gateway.ts'`, hide: true },
    });
    const many = '["a"]\nrun = [\n  "x",\n  "tasks/scripts/sandbox.sh y",\n]\n';
    expect(parse(rewriteEntries(many, {}))).toEqual({
      a: { depends: ['tasks:deps'], run: ['x', `node ${HOME}/tasks/sandbox.ts y`] },
    });
    const foreign = '["a"]\nrun = """\nsource tasks/scripts/container-engine.sh\n[ -n "$X" ]\n[x]\n"""\n';
    expect(rewriteEntries(foreign, { a: { run: 'never' } })).toBe(foreign);
  });
});
