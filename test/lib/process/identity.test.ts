// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import {
  isAlive,
  isGroupAlive,
  isHangupIgnored,
  isSameProcess,
  ownLimits,
  shellSoftLimit,
  statOf,
  thisProcess,
} from '../../../lib/process/identity.ts';
import { requireThing } from '../../support/real-tools.ts';
import { runProcess } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const hasProc = existsSync('/proc/self/stat');

/** A pid that was in use and is no longer. */
async function endedPid(): Promise<number> {
  const child = spawn('sh', ['-c', ':']);
  await once(child, 'close');
  return child.pid ?? 0;
}

describe('the fields of /proc/PID/stat', () => {
  test.each([
    ['42 (bash) S 7 42 42 0 -1', 7],
    ['42 (tmux: server) S 1 42 42 0', 1],
    ['42 (a b) (c) S 9 1 1 0', 9],
    ['42 (evil) S 666 ) R 12 1 1 0', 12],
    ['42 () S 3 1 1', 3],
    ['42 (new\nline) S 5 1 1', 5],
    ['1 (init) S 0 1 1', 0],
  ])('the parent in %j is %i', (stat, parent) => {
    const proc = temporaryDirectory('proc');
    mkdirSync(join(proc, '42'));
    writeFileSync(join(proc, '42/stat'), stat);
    expect(statOf(42, proc)?.parent).toBe(parent);
  });

  test.each([
    ['S', false],
    ['R', false],
    ['D', false],
    ['T', false],
    ['Z', true],
    ['X', true],
  ])('in state %s it has ended: %j', (state, hasEnded) => {
    const proc = temporaryDirectory('proc');
    mkdirSync(join(proc, '42'));
    const start = Array.from({ length: 15 }, (_, index) => 100 + index);
    writeFileSync(join(proc, '42/stat'), `42 (a) ${state}) ${state} 7 8 9 ${start.join(' ')} 12345 0\n`);
    expect(statOf(42, proc)).toEqual({ hasEnded, parent: 7, group: 8, session: 9, startTicks: '12345' });
  });

  test('of a process that is not there: nothing', () => {
    expect(statOf(42, temporaryDirectory('proc'))).toBeUndefined();
  });
});

test('this process is itself', () => {
  expect(thisProcess().pid).toBe(process.pid);
  expect(isSameProcess(thisProcess())).toBe(true);
  expect(isAlive(process.pid)).toBe(true);
});

test('one that has ended is not alive and not the same', async () => {
  const pid = await endedPid();
  expect(isAlive(pid)).toBe(false);
  expect(isSameProcess({ pid })).toBe(false);
  expect(isSameProcess({ pid, startTicks: '1' })).toBe(false);
});

describe('with /proc', requireThing('/proc', hasProc), () => {
  test('a pid that another process has by now is not the same', () => {
    const { pid, startTicks } = thisProcess();
    expect(startTicks).toMatch(/^[0-9]+$/);
    expect(isSameProcess({ pid, startTicks: String(Number(startTicks) - 1) })).toBe(false);
    expect(isSameProcess({ pid: 1, startTicks })).toBe(false);
  });

  test('a record without the start is taken by its pid', () => {
    expect(isSameProcess({ pid: process.pid })).toBe(true);
  });

  test('blanks and parentheses in the name do not shift the fields', async () => {
    const child = spawn('bash', ['--norc', '-c', 'printf "a) R 1 (b" > /proc/self/comm; echo done; read'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    expect(stat).toContain('(a) R 1 (b)');
    const startTicks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
    expect(isSameProcess({ pid: child.pid ?? 0, startTicks })).toBe(true);
    expect(isSameProcess({ pid: child.pid ?? 0, startTicks: '1' })).toBe(false);
  });

  test('a zombie has ended', async () => {
    // sleep takes the place of the shell and never waits for the child that it has got with it.
    const parent = spawn('bash', ['--norc', '-c', 'read line <&0 & echo $!; exec sleep 30'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [text] = await once(parent.stdout, 'data');
    const pid = Number(String(text));
    const until = async (process: number, stat: RegExp) => {
      while (!stat.test(readFileSync(`/proc/${process}/stat`, 'utf8'))) await sleep(5);
    };
    await until(parent.pid ?? 0, /\(sleep\)/);
    expect(isSameProcess({ pid })).toBe(true);
    parent.stdin.end('\n');
    await until(pid, /\) Z /);
    expect(isAlive(pid)).toBe(true);
    expect(isSameProcess({ pid })).toBe(false);
  });
});

describe('a process group', () => {
  /** A group of its own; gives the leader once its script has said something. */
  async function group(script: string) {
    const leader = spawn('bash', ['--norc', '-c', script], { detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    const end = () => {
      try {
        process.kill(-(leader.pid ?? 0), 'SIGKILL');
      } catch {}
    };
    onTestFinished(end);
    const exited = once(leader, 'exit');
    await once(leader.stdout, 'data');
    return { id: leader.pid ?? 0, leader, exited, end };
  }
  async function untilGone(id: number): Promise<void> {
    while (isGroupAlive(id)) await sleep(5);
  }

  test('runs as long as one member runs, the leader or not', async () => {
    const { id, leader, exited } = await group('sleep 30 & echo; read');
    expect(isGroupAlive(id)).toBe(true);
    leader.stdin.end('\n');
    await exited;
    expect(isGroupAlive(id)).toBe(true);
    process.kill(-id, 'SIGKILL');
    await untilGone(id);
  });

  test('that never was does not', async () => {
    expect(isGroupAlive(await endedPid())).toBe(false);
  });

  test('of which only a zombie is left does not', requireThing('/proc', hasProc), async () => {
    // The member moves into a group of its own and ends; its parent, in another group, does not look.
    const script = 'set -m; read line <&0 & set +m; echo $!; exec sleep 30';
    const parent = spawn('bash', ['--norc', '-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [text] = await once(parent.stdout, 'data');
    const id = Number(String(text));
    while (!/\(sleep\)/.test(readFileSync(`/proc/${parent.pid}/stat`, 'utf8'))) await sleep(5);
    process.kill(-id, 'SIGKILL');
    while (!/\) Z /.test(readFileSync(`/proc/${id}/stat`, 'utf8'))) await sleep(5);
    expect(isAlive(id)).toBe(true);
    expect(isGroupAlive(id)).toBe(false);
  });
});

describe('F10: an ignored SIGHUP, from a made-up /proc', () => {
  let proc: string;
  beforeEach(() => {
    proc = temporaryDirectory('proc');
    mkdirSync(join(proc, 'self/fdinfo'), { recursive: true });
  });

  function parent(pid: number, program: string, ignored: string, above = 1): void {
    mkdirSync(join(proc, String(pid)));
    symlinkSync(program, join(proc, `${pid}/exe`));
    writeFileSync(join(proc, `${pid}/stat`), `${pid} (x) S ${above} 1 1 0 -1\n`);
    writeFileSync(join(proc, `${pid}/status`), `Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t${ignored}\n`);
  }

  const stdin = (flags: string) => writeFileSync(join(proc, 'self/fdinfo/0'), `pos:\t0\nflags:\t${flags}\n`);

  test.each([
    ['0000000000000001', true],
    ['0000000010001001', true],
    ['0000000000000000', false],
    ['0000000000001002', false],
  ])('a parent with %s: %s', (ignored, expected) => {
    parent(10, '/usr/bin/mise', ignored);
    expect(isHangupIgnored(10, proc)).toBe(expected);
  });

  test('Node resets what it was given, so what has started it counts', () => {
    parent(20, '/usr/bin/node', '0000000000000000', 10);
    parent(10, '/bin/bash', '0000000000000001');
    expect(isHangupIgnored(20, proc)).toBe(true);
  });

  test.each([
    ['0100001', true],
    ['0100000', false],
    ['0100002', false],
    ['02', false],
  ])('a stdin with the flags %s: %s', (flags, expected) => {
    stdin(flags);
    expect(isHangupIgnored(10, proc)).toBe(expected);
  });

  test('nothing is known without /proc', () => {
    expect(isHangupIgnored(10, join(proc, 'none'))).toBe(false);
  });
});

test('F10: a script that ignores it hands that on', async () => {
  const file = JSON.stringify(join(import.meta.dirname, '../../../lib/process/identity.ts'));
  const module = `console.log((await import(${file})).isHangupIgnored())`;
  const said = async (script: string) => {
    const env = { NODE: process.execPath, MODULE: module };
    const start = '"$NODE" --input-type=module-typescript -e "$MODULE"; true';
    return (await runProcess('bash', ['-c', `${script} ${start}`], { cwd: '/', env })).stdout;
  };
  expect(await said("trap '' HUP;")).toBe('true\n');
  expect(await said('')).toBe('false\n');
});

describe("the limit of the user's shell, from a made-up /proc", () => {
  let proc: string;
  beforeEach(() => {
    proc = temporaryDirectory('proc');
  });

  /** A process; `soft` is the text in its limits file. */
  function process(pid: number, parent: number, program: string, soft: string): void {
    const directory = join(proc, String(pid));
    mkdirSync(directory);
    symlinkSync(program, join(directory, 'exe'));
    writeFileSync(join(directory, 'stat'), `${pid} (a) ) name) S ${parent} 1 1 0 -1\n`);
    writeFileSync(
      join(directory, 'limits'),
      'Limit                     Soft Limit           Hard Limit           Units     \n' +
        'Max processes             111                  222                  processes \n' +
        `Max open files            ${soft.padEnd(20)} 1048576              files     \n` +
        'Max locked memory         333                  444                  bytes     \n',
    );
  }

  test('that of the parent, where it is not Node', () => {
    process(10, 1, '/bin/zsh', '256');
    expect(shellSoftLimit(proc, 10)).toBe(256);
  });

  test('Node and npm between are passed over, the first that is neither counts', () => {
    process(30, 20, '/opt/node-v24/bin/node', '1048576');
    process(20, 15, '/usr/bin/nodejs', '1048576');
    process(15, 10, '/usr/bin/node (deleted)', '1048576');
    process(10, 5, '/bin/bash', '4096');
    process(5, 1, '/usr/bin/sshd', '1024');
    expect(shellSoftLimit(proc, 30)).toBe(4096);
  });

  test('a directory called node does not make a program Node', () => {
    process(10, 1, '/home/node/bin/fish', '512');
    expect(shellSoftLimit(proc, 10)).toBe(512);
  });

  test('unlimited', () => {
    process(10, 1, '/bin/bash', 'unlimited');
    expect(shellSoftLimit(proc, 10)).toBe(Number.POSITIVE_INFINITY);
  });

  test('what cannot be read is unknown: no /proc, a program or a limit that may not be seen, Node up to the top', () => {
    expect(shellSoftLimit(join(proc, 'none'), 10)).toBeUndefined();
    expect(shellSoftLimit(proc, 10)).toBeUndefined();
    process(10, 1, '/bin/bash', '256');
    rmSync(join(proc, '10/exe'));
    expect(shellSoftLimit(proc, 10)).toBeUndefined();
    process(20, 1, '/bin/bash', '256');
    rmSync(join(proc, '20/limits'));
    expect(shellSoftLimit(proc, 20)).toBeUndefined();
    process(30, 1, '/bin/bash', 'garbage');
    expect(shellSoftLimit(proc, 30)).toBeUndefined();
    process(40, 1, '/usr/bin/node', '256');
    expect(shellSoftLimit(proc, 40)).toBeUndefined();
    process(50, 0, '/usr/bin/node', '256');
    expect(shellSoftLimit(proc, 50)).toBeUndefined();
    expect(shellSoftLimit(proc, 0)).toBeUndefined();
  });
});

describe('the own limits', () => {
  const limitOf = (flag: string) => {
    const text = execFileSync('bash', ['--norc', '-c', `ulimit ${flag}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    return text.toString().trim() === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
  };

  test('are what a child inherits', () => {
    expect(ownLimits()).toEqual({ soft: limitOf('-Sn'), hard: limitOf('-Hn') });
  });

  test('the way of macOS, through the report, gives the same here', () => {
    expect(ownLimits('darwin')).toEqual({ soft: limitOf('-Sn'), hard: limitOf('-Hn') });
  });

  test('a real ancestor has a limit', requireThing('/proc', existsSync('/proc/self/limits')), () => {
    expect(shellSoftLimit()).toBeGreaterThan(0);
  });
});
