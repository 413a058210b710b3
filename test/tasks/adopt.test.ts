// SPDX-License-Identifier: Apache-2.0

import { chmodSync, existsSync, lstatSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeAdoption } from '../support/fake-adoption.ts';
import { bashQuote } from '../support/fake-tools.ts';

const ENV = '[env]\nA = "1"';

/** An adoption that has been refused, with the checkout and the clone as they were. */
async function expectTakenBack(fake: FakeAdoption, message: RegExp, status = 2): Promise<void> {
  writeFileSync(fake.localFile, ENV);
  const result = await fake.adopt();
  expect(result).toMatchObject({ status, stdout: '' });
  expect(result.stderr).toMatch(message);
  expect(readFileSync(fake.localFile, 'utf8')).toBe(ENV);
  expect(existsSync(fake.tasksFile)).toBe(false);
}

test('ADP-1: adopt writes both files, says how to undo it, and undo leaves no trace in the checkout', async () => {
  const fake = new FakeAdoption("check out's");
  const result = await fake.adopt();
  const undo = `npm run --prefix ${fake.suite.root} adopt -- --undo ${bashQuote(fake.root)}`;
  const said = `${fake.root}: mise run starts the tasks of ${fake.suite.root}; to undo: ${undo}\n`;
  expect(result).toEqual({ status: 0, signal: null, stdout: '', stderr: said });
  expect(readFileSync(fake.localFile, 'utf8')).toContain(`includes = ["tasks/*.toml", "${fake.tasksFile}"]`);
  expect(readFileSync(fake.tasksFile, 'utf8')).toContain(`${fake.suite.root}/tasks/gateway.ts`);
  const lines = [
    'git worktree list --porcelain',
    'mise tasks --hidden --json',
    'git status --porcelain -- mise.local.toml',
  ];
  expect(fake.tools.lines()).toEqual(lines);
  expect(new Set(fake.tools.calls().map(({ cwd }) => cwd))).toEqual(new Set([fake.root]));
  expect(await fake.adopt()).toMatchObject({ status: 0 });
  expect(await fake.adopt(['--undo'])).toMatchObject({ status: 0, stderr: `${fake.root}: not adopted any more\n` });
  expect(existsSync(fake.localFile)).toBe(false);
  const again = await fake.adopt(['--undo']);
  expect(again).toMatchObject({
    status: 2,
    stderr: `error: ${fake.root} is not adopted, so there is nothing to undo\n`,
  });
});

test("ADP-2: the user's file keeps its mode", async () => {
  const fake = new FakeAdoption();
  writeFileSync(fake.localFile, ENV);
  chmodSync(fake.localFile, 0o600);
  await fake.adopt();
  expect(statSync(fake.localFile).mode & 0o777).toBe(0o600);
  await fake.adopt(['--undo']);
  expect([readFileSync(fake.localFile, 'utf8'), statSync(fake.localFile).mode & 0o777]).toEqual([ENV, 0o600]);
});

test('a checkout with any name: every line is one line, and the file is undone', async () => {
  const fake = new FakeAdoption("a\n'$(touch pasted)'\u001b[2J\u202e\u2028`x`\"b");
  for (const args of [['--dry-run'], [], ['--check'], ['--undo']]) {
    const { status, stdout, stderr } = await fake.adopt(args);
    expect([0, 1], stderr).toContain(status);
    expect(`${stdout}${stderr}`.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
    expect(stderr.split('\n').length, stderr).toBeLessThan(3);
  }
  expect(existsSync(fake.localFile)).toBe(false);
});

test('a dry run names the files, and writes none', async () => {
  const fake = new FakeAdoption();
  const stdout = `# writes ${fake.tasksFile}\n# writes ${fake.localFile}\n`;
  expect(await fake.adopt(['--dry-run'])).toMatchObject({ status: 0, stdout });
  expect([fake.tasksFile, fake.localFile].filter((path) => existsSync(path))).toEqual([]);
  await fake.adopt();
  expect(await fake.adopt(['--undo', '--dry-run'])).toMatchObject({
    status: 0,
    stdout: `# removes ${fake.localFile}\n`,
  });
  expect(existsSync(fake.localFile)).toBe(true);
});

describe('ADP-3: taken back, with the reason and what to do', () => {
  test('a task that mise takes from elsewhere', async () => {
    const fake = new FakeAdoption();
    fake.setSources((name) => (name === 'sandbox' ? '/x/tasks\u001b.toml' : fake.tasksFile));
    const message =
      /^error: in \/\S+ mise takes the task sandbox from \/x\/tasks\\x1b\.toml, so nothing is changed; start tasks with \S+\/bin\/openshell-tasks\.sh instead, or update mise, or see with "mise config" which file sets includes\n$/;
    await expectTakenBack(fake, message);
  });

  test.each([
    [
      'a checkout that is not trusted',
      "echo 'Config files in x are not trusted.' >&2; exit 1",
      /mise cannot list the tasks of \S+ \(Config files in x are not trusted\.\), so nothing is changed; start/,
    ],
    [
      'a mise that does not know the options',
      "echo 'unexpected argument' >&2; exit 2",
      /mise cannot list the tasks of \S+ \(unexpected argument\), so nothing is changed; start/,
    ],
    ['a mise that says something else', 'echo "{}"', /takes the task \S+ from nowhere, so nothing/],
  ])('%s', async (_, script, message) => {
    const fake = new FakeAdoption();
    fake.setMise(script);
    await expectTakenBack(fake, message);
  });

  test('a file that git would show', async () => {
    const fake = new FakeAdoption();
    fake.tools.add('git', [
      { args: ['status'], script: "echo '?? mise.local.toml'" },
      { args: [], script: ':' },
    ]);
    await expectTakenBack(
      fake,
      /git does not ignore mise\.local\.toml in \S+, so nothing is changed; add it to \.git\/info\/exclude\n$/,
    );
  });

  test('Ctrl-C while mise is asked', async () => {
    const fake = new FakeAdoption();
    fake.setMise('echo asked >&2; while :; do /bin/sleep 0.1; done');
    writeFileSync(fake.localFile, ENV);
    const result = await fake.adopt([], {
      onStart: (child) => {
        const timer = setInterval(() => {
          if (!fake.tools.lines().some((line) => line.startsWith('mise'))) return;
          clearInterval(timer);
          child.kill('SIGINT');
        }, 50);
      },
    });
    expect(result.status).toBe(130);
    expect(readFileSync(fake.localFile, 'utf8')).toBe(ENV);
    expect(existsSync(fake.tasksFile)).toBe(false);
  });

  test('no mise, where only that of the tests is on PATH', async () => {
    const fake = new FakeAdoption();
    rmSync(join(fake.tools.bin, 'mise'));
    const bin = join(fake.suite.root, 'node_modules/.bin');
    expect(existsSync(join(bin, 'mise'))).toBe(true);
    const result = await fake.adopt([], { env: fake.tools.env({ PATH: `${bin}:${fake.tools.bin}` }) });
    const advice = `install it (https://mise.jdx.dev), or start tasks with ${fake.suite.root}/bin/openshell-tasks.sh`;
    expect(result).toMatchObject({ status: 2, stderr: `error: mise is not on PATH; ${advice}\n` });
    expect(existsSync(fake.localFile)).toBe(false);
  });
});

test('a second clone says whose place it takes, and either can undo it', async () => {
  const fake = new FakeAdoption();
  const other = new FakeAdoption('other');
  writeFileSync(fake.localFile, ENV);
  await other.suite.run('adopt', [fake.root], { cwd: '/', env: other.tools.env() });
  expect(await fake.adopt(['--check'])).toMatchObject({
    stdout: expect.stringContaining(`adopted by ${other.suite.root}\n`),
  });
  const taken = await fake.adopt();
  expect(taken.stderr).toContain(`warning: ${fake.root} was adopted by ${other.suite.root}, and is not any more\n`);
  expect(readFileSync(fake.localFile, 'utf8')).not.toContain(other.suite.root);
  await other.suite.run('adopt', ['--undo', fake.root], { cwd: '/', env: other.tools.env() });
  expect(readFileSync(fake.localFile, 'utf8')).toBe(ENV);
});

test('worktrees have a file each: they are named, and done with --worktrees', async () => {
  const fake = new FakeAdoption();
  const tree = new FakeAdoption("work tree's");
  const bare = dirname(tree.root);
  const script = `printf 'worktree %s\\nHEAD x\\n\\n' ${[fake.root, tree.root, bare].map(bashQuote).join(' ')}`;
  fake.tools.add('git', [
    { args: ['worktree'], script },
    { args: [], script: ':' },
  ]);
  const said = `each worktree has its own mise.local.toml; --worktrees does these as well: ${bashQuote(tree.root)}\n`;
  expect((await fake.adopt()).stderr.startsWith(said.replace("work tree's", "work tree'\\''s"))).toBe(true);
  expect(existsSync(tree.localFile)).toBe(false);
  expect((await fake.adopt(['--worktrees'])).stderr).toContain(`${tree.root}: mise run starts the tasks of`);
  expect(existsSync(tree.localFile)).toBe(true);
  expect((await fake.adopt(['--undo', '--worktrees'])).stderr).toBe(
    `${fake.root}: not adopted any more\n${tree.root}: not adopted any more\n`,
  );
  fake.tools.add('git', [{ args: [], script: "echo 'not a git repository' >&2; exit 128" }]);
  expect(await fake.adopt(['--worktrees'])).toMatchObject({
    status: 2,
    stderr: `error: git cannot list the worktrees of ${fake.root}: not a git repository\n`,
  });
  expect([fake, tree].filter(({ localFile }) => existsSync(localFile))).toEqual([]);
});

test('ADP-4: --check says who has adopted, and has status 1 where a change concerns our tasks', async () => {
  const fake = new FakeAdoption();
  const record = () => fake.suite.recordUpstream(fake.root);
  record();
  const same = "OpenShell's own tasks are as they were when these were written\n";
  expect(await fake.adopt(['--check'])).toMatchObject({ status: 0, stdout: `${fake.root}: not adopted\n${same}` });
  await fake.adopt();
  expect(await fake.adopt(['--check'])).toMatchObject({
    stdout: `${fake.root}: adopted by ${fake.suite.root}\n${same}`,
  });
  fake.setVersion('changed');
  expect((await fake.adopt(['--check'])).stdout).toContain(', whose tasks have changed since: adopt again\n');
  rmSync(fake.tasksFile);
  expect((await fake.adopt(['--check'])).stdout).toContain(', whose tasks have changed since: adopt again\n');
  fake.write('tasks/scripts/theirs.sh', 'echo changed\n');
  const theirs = await fake.adopt(['--check']);
  expect(theirs).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('script tasks/scripts/theirs.sh: other content; ours: none\n'),
  });
  fake.write('tasks/scripts/gateway-docker.sh', 'echo changed\n');
  const ours = await fake.adopt(['--check']);
  const line = 'script tasks/scripts/gateway-docker.sh: other content; ours: gateway, gateway:docker\n';
  expect(ours).toMatchObject({ status: 1, stdout: expect.stringContaining(line) });
});

test('ADP-2: a link to a file elsewhere stays one', async () => {
  const fake = new FakeAdoption();
  const target = join(dirname(fake.root), 'dotfile');
  symlinkSync(target, fake.localFile);
  writeFileSync(target, ENV);
  expect(await fake.adopt()).toMatchObject({ status: 0 });
  expect(readFileSync(target, 'utf8')).toContain(fake.tasksFile);
  expect(await fake.adopt(['--undo'])).toMatchObject({ status: 0 });
  expect([readFileSync(target, 'utf8'), lstatSync(fake.localFile).isSymbolicLink()]).toEqual([ENV, true]);
});
