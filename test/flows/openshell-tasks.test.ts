// SPDX-License-Identifier: Apache-2.0

/** `openshell-tasks`: tasks by their names, from inside a checkout, without mise. */

import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { declaredTasks } from '../../lib/adopt/tasks-file.ts';
import { FakeCheckout } from '../support/fake-rust.ts';
import { requireTools } from '../support/real-tools.ts';
import { runProcess, SUITE_ROOT } from '../support/run-task.ts';
import { SuiteCopy } from '../support/suite-copy.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const PROGRAM = join(SUITE_ROOT, 'bin/openshell-tasks.sh');
const SYSTEM = '/usr/bin:/bin';
const STAGE = ['build:docker:prebuilt', 'supervisor', '--dry-run'];

/** A copy of the suite with a Node that says what it was started with. */
function echoing(name = "cl one's") {
  const suite = new SuiteCopy(join(temporaryDirectory(), name));
  const node = join(suite.root, 'node_modules/node/bin/node');
  rmSync(join(suite.root, 'node_modules'));
  mkdirSync(dirname(node), { recursive: true });
  writeFileSync(node, `#!/bin/sh\nprintf '%s|' "$@"\nexit 7\n`);
  chmodSync(node, 0o755);
  // It starts no task, and could reach no engine.
  const env = { PATH: SYSTEM, DOCKER_HOST: `unix://${node}`, CONTAINERS_STORAGE_CONF: node };
  const run = (args: readonly string[], program = join(suite.root, 'bin/openshell-tasks.sh')) =>
    runProcess(program, args, { cwd: '/', env });
  return { suite, node, run };
}

test('ADP-5: a link to it on PATH starts a task on the checkout that it is used in', async () => {
  const checkout = new FakeCheckout();
  const bin = join(dirname(checkout.root), 'bin');
  mkdirSync(bin);
  symlinkSync(PROGRAM, join(bin, 'far'));
  symlinkSync('far', join(bin, 'openshell-tasks'));
  const { OPENSHELL_ROOT: _, ...env } = checkout.env({ PATH: `${bin}:${checkout.tools.bin}:${SYSTEM}` });
  const cwd = join(checkout.root, 'crates');
  const result = await runProcess('/bin/sh', ['-c', 'openshell-tasks "$@"', 'sh', ...STAGE], { cwd, env });
  expect(result.status, result.stderr).toBe(0);
  expect(result.stdout).toContain(`cd ${checkout.root}\n`);
});

const npx = requireTools('npx');

test('ADP-5: npx --prefix starts it', npx.options, async () => {
  const checkout = new FakeCheckout();
  const { OPENSHELL_ROOT: _, ...env } = checkout.env();
  const PATH = `${checkout.tools.bin}:${dirname(npx.path('npx'))}:${dirname(process.execPath)}:${SYSTEM}`;
  const args = ['--prefix', SUITE_ROOT, 'openshell-tasks', ...STAGE];
  const result = await runProcess(npx.path('npx'), args, { cwd: checkout.root, env: { ...env, PATH } });
  expect(result.status, result.stderr).toBe(0);
  expect(result.stdout).toContain(`cd ${checkout.root}\n`);
});

test('ADP-5: every task that mise.toml declares, and every file by its own name', async () => {
  const { suite, run } = echoing();
  const declared = declaredTasks(readFileSync(join(suite.root, 'mise.toml'), 'utf8'));
  for (const [name, [file]] of declared) {
    if (file === undefined) continue;
    const { status, stdout } = await run([name, 'a b', "it's", '']);
    expect({ status, stdout }, name).toEqual({ status: 7, stdout: expect.stringContaining(`${suite.root}/${file}|`) });
    expect(stdout.endsWith("|a b|it's||")).toBe(true);
  }
  expect((await run(['build:docker:gateway', 'x'])).stdout).toBe(
    `${suite.root}/tasks/docker-build-image.ts|gateway|x|`,
  );
  expect((await run(['docker:build:supervisor'])).stdout).toBe(`${suite.root}/tasks/docker-build-image.ts|supervisor|`);
  expect((await run(['vm/vm-setup', '--force'])).stdout).toBe(`${suite.root}/tasks/vm/vm-setup.ts|--force|`);
  const listed = (await run(['--help'])).stdout;
  for (const name of declared.keys()) expect(listed).toContain(`\n  ${name}\n`);
});

test('a task gets the variables that it is declared with', async () => {
  const { suite, node, run } = echoing();
  const declared = `\n[tasks."x:y"]\nrun = 'node "$MISE_CONFIG_ROOT/tasks/stage.ts" z'\nenv = { A = "b", C = "d" }\n`;
  writeFileSync(join(suite.root, 'mise.toml'), declared, { flag: 'a' });
  writeFileSync(node, '#!/bin/sh\necho "$A $C $2 $3"\n');
  expect(await run(['x:y', 'w'])).toMatchObject({ status: 0, stdout: 'b d z w\n' });
});

test('a task that is several ends with the first that fails, and runs all that do not', async () => {
  const { suite, node, run } = echoing();
  const image = `${suite.root}/tasks/docker-build-image.ts`;
  expect(await run(['build:docker'])).toMatchObject({ status: 7, stdout: `${image}|gateway|` });
  writeFileSync(node, `#!/bin/sh\nprintf '%s|' "$@"\n`);
  expect(await run(['build:docker', 'x'])).toMatchObject({
    status: 0,
    stdout: `${image}|gateway|x|${image}|supervisor|x|`,
  });
});

test.each([[[]], [['nope']], [['vm/nope']], [['../x']], [['a b']], [['--dry-run']], [['gateway"\\']]])(
  'no such task: %j',
  async (args) => {
    const { run } = echoing();
    const result = await run(args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]*; openshell-tasks --help lists them\n$/);
  },
);

test('R4: with an older Node alone it says in one line what is missing', async () => {
  const { suite } = echoing();
  rmSync(join(suite.root, 'node_modules'), { recursive: true });
  const bin = temporaryDirectory();
  for (const name of ['readlink', 'sed', 'sh']) symlinkSync(join('/bin', name), join(bin, name));
  writeFileSync(join(bin, 'node'), '#!/bin/sh\necho 20.1.0\n', { mode: 0o755 });
  const link = join(bin, 'tasks');
  symlinkSync(join(suite.root, 'bin/openshell-tasks.sh'), link);
  const result = await runProcess(link, ['gateway'], { cwd: '/', env: { PATH: bin } });
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: the tasks need Node 24, and PATH has 20\.1\.0; [^\n]*\n$/);
});

test('R4: npm run adopt says the same, also after npm ci --omit=dev', async () => {
  const { suite } = echoing();
  rmSync(join(suite.root, 'node_modules'), { recursive: true });
  const bin = temporaryDirectory();
  symlinkSync('/bin/sh', join(bin, 'sh'));
  writeFileSync(join(bin, 'node'), '#!/bin/sh\necho 20.1.0\n', { mode: 0o755 });
  const { scripts } = JSON.parse(readFileSync(join(suite.root, 'package.json'), 'utf8'));
  const env = { PATH: bin, INIT_CWD: '/' };
  const result = await runProcess('/bin/sh', ['-c', scripts.adopt], { cwd: suite.root, env });
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: the tasks need Node 24, and PATH has 20\.1\.0; [^\n]*\n$/);
});
