// SPDX-License-Identifier: Apache-2.0

/** The frame of every task, from outside: a small task in a file of its own, run as a user would. */

import type { ChildProcess } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ownArguments } from '../../../lib/cli/task.ts';
import { onlyLinux } from '../../support/real-tools.ts';
import { runProcess, SUITE_ROOT } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const LIB = join(SUITE_ROOT, 'lib');

/** Runs a task with this body, which sees `ctx`, `args`, `fs` and the errors. */
async function runBody(
  body: string,
  {
    argv = [],
    onStart,
    redirect = '',
  }: { argv?: readonly string[]; onStart?: (child: ChildProcess) => void; redirect?: string } = {},
) {
  const directory = temporaryDirectory();
  const file = join(directory, 'task.mts');
  writeFileSync(
    file,
    `import * as fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTask } from ${JSON.stringify(join(LIB, 'cli/task.ts'))};
import { failure, usageError } from ${JSON.stringify(join(LIB, 'errors.ts'))};
await runTask(
  import.meta.url,
  {
    name: 'tasks/it.ts',
    summary: 'Do it.',
    positionals: { what: { help: 'What.', count: 'any' } },
    flags: { loud: { help: 'Loudly.' } },
  },
  async (ctx, args) => {
    ${body}
  },
);
`,
  );
  const env = { PATH: process.env.PATH ?? '', NAME: 'value' };
  const direct = [process.execPath, file, ...argv] as const;
  const [program, ...args] = redirect === '' ? direct : ['/bin/bash', '-c', `exec "$@" ${redirect}`, 'bash', ...direct];
  return runProcess(program, args, {
    cwd: directory,
    env,
    ...(onStart === undefined ? {} : { onStart }),
  });
}

/** Sends a signal as soon as the task has printed something. */
const signalling = (signal: NodeJS.Signals) => (child: ChildProcess) =>
  child.stdout?.once('data', () => child.kill(signal));

describe('the exit status', () => {
  test.each([
    ['', 0],
    ['return 0', 0],
    ['return 3', 3],
    ['return 137', 137],
  ])('of the body %j is %i', async (body, status) => {
    expect(await runBody(body)).toEqual({ status, signal: null, stdout: '', stderr: '' });
  });

  test('the body gets the arguments, the environment, the directory and the terminal', async () => {
    const { status, stdout, stderr } = await runBody(
      `ctx.terminal.result(JSON.stringify([args.positionals.what, args.flags.loud, ctx.env.NAME]));
       ctx.terminal.say(String(ctx.startDirectory === process.cwd()));`,
      { argv: ['a', '--loud', 'b'] },
    );
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '[["a","b"],true,"value"]\n', stderr: 'true\n' });
  });

  test('wrong usage is 2, help is 0, and neither runs the body', async () => {
    const body = "ctx.terminal.result('ran');";
    expect(await runBody(body, { argv: ['--quiet'] })).toMatchObject({
      status: 2,
      stdout: '',
      stderr: "error: unknown option '--quiet'; allowed are --loud, --help; see tasks/it.ts --help\n",
    });
    const help = await runBody(body, { argv: ['--help'] });
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toMatch(/^Do it\.\n\nUsage: tasks\/it\.ts \[options\] \[what\]\.\.\.\n/);
  });
});

describe('what a user can act on is one line', () => {
  test.each([
    ["throw usageError('no such target');", 2, 'no such target'],
    ["throw failure('cargo build failed', 101);", 101, 'cargo build failed'],
    ["throw failure('a', 1, { cause: new Error('b\\nc') });", 1, 'a: b\\nc'],
  ])('%s', async (body, status, line) => {
    expect(await runBody(body)).toEqual({ status, signal: null, stdout: '', stderr: `error: ${line}\n` });
  });
});

describe('an error of the machine is one line with the path and the reason, and is not called a bug', () => {
  test.each([
    ["fs.readFileSync('no/such/file')", 'no/such/file: it does not exist (ENOENT)'],
    ["fs.mkdirSync('task.mts')", 'task.mts: something exists there already; remove it (EEXIST)'],
    ["fs.writeFileSync('task.mts/x', '')", 'task.mts/x: a part of the path is not a directory (ENOTDIR)'],
    ["fs.mkdirSync('x'.repeat(300))", `${'x'.repeat(300)}: the name is too long; use a shorter path (ENAMETOOLONG)`],
    [
      "fs.symlinkSync('loop', 'loop'); fs.readFileSync('loop')",
      'loop: too many symbolic links; check where they lead (ELOOP)',
    ],
    ["fs.writeFileSync('/', '')", '/: it is a directory where a file is wanted; remove it (EISDIR)'],
    ["await fs.promises.rename('a\\nb', 'c')", 'a\\nb -> c: it does not exist (ENOENT)'],
  ])('%s', async (body, line) => {
    expect(await runBody(body)).toEqual({ status: 1, signal: null, stdout: '', stderr: `error: ${line}\n` });
  });

  test.each([
    ['ENOSPC', 'no space is left on the device; free some'],
    ['EROFS', 'the file system is read-only; use another directory'],
    ['EACCES', 'permission is denied; check its owner and mode'],
    ['EPERM', 'the operation is not permitted; check its owner and flags'],
    ['EDQUOT', 'the disk quota is used up; free some space'],
    ['EIO', 'the device reports an error; check the disk'],
  ])('%s, as it comes from the system', async (code, reason) => {
    const body = `throw Object.assign(new Error('${code}: x'), { code: '${code}', syscall: 'open', path: '/a b' });`;
    expect(await runBody(body)).toEqual({
      status: 1,
      signal: null,
      stdout: '',
      stderr: `error: /a b: ${reason} (${code})\n`,
    });
  });
});

test.each([
  ["throw new TypeError('x is undefined');", 'TypeError: x is undefined'],
  ['throw "a text";', 'a text'],
  ['fs.readFileSync({});', 'TypeError [ERR_INVALID_ARG_TYPE]'],
])('a bug keeps its stack, and asks to be reported: %s', async (body, text) => {
  const { status, stderr } = await runBody(body);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: this is a bug of the tasks, please report it:\n/);
  expect(stderr).toContain(text);
  if (!body.includes('"')) expect(stderr).toMatch(/\n {4}at .*task\.mts/);
});

describe('a signal to the task', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('%s: the body cleans up, and the status is %i', async (signal, status) => {
    const body = `
      try {
        ctx.terminal.result('ready');
        await sleep(60_000, undefined, { signal: ctx.signals.aborted }).catch(() => ctx.signals.throwIfReceived());
      } finally {
        ctx.terminal.result('cleaned up');
      }`;
    expect(await runBody(body, { onStart: signalling(signal) })).toEqual({
      status,
      signal: null,
      stdout: 'ready\ncleaned up\n',
      stderr: `error: stopped by ${signal}\n`,
    });
  });

  test('a body that does not look at it ends when it ends, with the status of the signal', async () => {
    const result = await runBody("ctx.terminal.result('ready'); await sleep(300);", { onStart: signalling('SIGTERM') });
    expect(result).toMatchObject({ status: 143, stderr: 'error: stopped by SIGTERM\n' });
  });

  const later = (ms: number) => `setTimeout(() => console.log('later'), ${ms}); ctx.terminal.result('ready');`;

  test('what is still under way is not waited for long', async () => {
    const body = `${later(60_000)} await sleep(60_000, undefined, { signal: ctx.signals.aborted }).catch(() => ctx.signals.throwIfReceived());`;
    expect(await runBody(body, { onStart: signalling('SIGINT') })).toMatchObject({ status: 130, stdout: 'ready\n' });
  });

  test.each([130, 137, 143, 255])('a child that has ended with %i is only a failed child', async (status) => {
    const result = await runBody(`${later(200)} throw failure('cargo failed', ${status});`);
    expect(result).toEqual({ status, signal: null, stdout: 'ready\nlater\n', stderr: 'error: cargo failed\n' });
  });
});

test('a reader that has seen enough is not an error', async () => {
  const body = "for (let n = 0; n < 20; n++) { ctx.terminal.result('x'.repeat(65_536)); await sleep(1); }";
  const result = await runBody(body, { onStart: (child) => child.stdout?.once('data', () => child.stdout?.destroy()) });
  expect(result).toMatchObject({ status: 0, stderr: '' });
});

describe('F15: what cannot be written, and where a task cannot be', onlyLinux(), () => {
  /** Runs `tasks/stage.ts` in a shell that redirects. */
  const inShell = (script: string, args: readonly string[]) =>
    runProcess('/bin/bash', ['-c', script, 'bash', process.execPath, join(SUITE_ROOT, 'tasks/stage.ts'), ...args], {
      cwd: temporaryDirectory(),
      env: { PATH: process.env.PATH ?? '', OPENSHELL_ROOT: SUITE_ROOT },
    });
  const full = (name: string) => `error: ${name}: no space is left on the device; free some (ENOSPC)\n`;

  test.each([[['--help']], [['supervisor', '--help']]])('stdout on a full device: %j', async (args) => {
    const result = await inShell('exec "$@" > /dev/full', args);
    expect(result).toMatchObject({ status: 1, stdout: '', stderr: full('stdout') });
  });

  test('a result that does not arrive is a failure', async () => {
    const body = "ctx.terminal.result('x');";
    expect(await runBody(body, { redirect: '> /dev/full' })).toMatchObject({ status: 1, stderr: full('stdout') });
  });

  test('stderr on a full device: the task ends, and stdout says why', async () => {
    const body = "ctx.terminal.say('x'); ctx.terminal.result('ran');";
    expect(await runBody(body, { redirect: '2> /dev/full' })).toMatchObject({ status: 1, stdout: full('stderr') });
  });

  test('another error arrives on stdout, with its own status', async () => {
    const result = await runBody("throw usageError('wrong');", { redirect: '2> /dev/full' });
    expect(result).toMatchObject({ status: 2, stdout: 'error: wrong\n' });
    expect(await runBody("throw usageError('wrong');", { redirect: '> /dev/full 2> /dev/full' })).toMatchObject({
      status: 2,
    });
  });

  test('a start directory that is gone', async () => {
    const gone = 'mkdir gone && cd gone && rmdir "$PWD" && exec "$@"';
    const result = await inShell(gone, ['supervisor']);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: the directory that the task was started in cannot be used; change to another one: .* \(ENOENT\)\n$/,
    );
    expect((await inShell(gone, ['--help'])).status).toBe(0);
  });
});

describe("a task's own arguments", () => {
  test('under node and under zx, by whatever path the script was given', () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'tasks'));
    const script = join(directory, 'tasks/x.ts');
    writeFileSync(script, '');
    symlinkSync('tasks/x.ts', join(directory, 'link.ts'));
    expect(ownArguments(['/bin/node', script, 'a', '-b'], script)).toEqual(['a', '-b']);
    expect(ownArguments(['/bin/node', '/x/zx', '--quiet', join(directory, 'tasks/../link.ts'), 'a'], script)).toEqual([
      'a',
    ]);
    // An argument that names the script again is an argument.
    expect(ownArguments(['/bin/node', script, script], script)).toEqual([script]);
    // The loader may have been given something else altogether.
    expect(ownArguments(['/bin/node', '/gone.ts', 'a'], script)).toEqual(['a']);
  });
});
