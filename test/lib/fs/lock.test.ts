// SPDX-License-Identifier: Apache-2.0
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { type Holder, holderText, type Lock, lockHolder, takeLock, whileLocked } from '../../../lib/fs/lock.ts';
import { thisProcess } from '../../../lib/process/identity.ts';
import { Signals } from '../../../lib/process/signals.ts';
import { screen } from '../../support/in-process.ts';
import { runProcess, type TaskResult } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOLDER = join(import.meta.dirname, '../../support/lock-holder.ts');
const hasProc = existsSync('/proc/self/stat');

let path: string;
beforeEach(() => {
  path = join(temporaryDirectory(), 'a directory/the.lock');
});

/** A process that takes the lock. */
class Contender {
  readonly ended: Promise<TaskResult>;
  #child: ChildProcess | undefined;
  #output = '';

  constructor(task: string, options: { rounds?: number; pause?: number | string; guarded?: string } = {}) {
    const rest = [String(options.rounds ?? 1), String(options.pause ?? 0), options.guarded ?? ''];
    this.ended = runProcess(process.execPath, [HOLDER, path, task, ...rest], {
      cwd: '/',
      env: {},
      onStart: (child) => {
        this.#child = child;
        child.stdout?.on('data', (text) => (this.#output += text));
      },
    });
    onTestFinished(() => this.kill('SIGKILL'));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Waits until it has printed something. */
  async says(text: string): Promise<void> {
    while (!this.#output.includes(text)) {
      if (this.#child?.exitCode != null || this.#child?.signalCode != null) throw new Error(`ended: ${this.#output}`);
      await once(this.#child?.stdout ?? process, 'data', { signal: AbortSignal.timeout(10_000) });
    }
  }
}

/** A holder that is this process. */
const own = (): Holder => ({ ...thisProcess(), task: 'stage x', since: '2026-01-02T03:04:05.000Z' });

/** Leaves a record as a process would have. */
function leave(record: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, record);
}

/** Takes the lock in this process; a lock that is held is an error. */
async function takeAtOnce(): Promise<Lock> {
  const taken = await takeLock(path, 'at once');
  if ('release' in taken) return taken;
  throw new Error(`it is held by ${JSON.stringify(taken)}`);
}

/** What is on record. */
const recorded = () => JSON.parse(readFileSync(path, 'utf8')) as Holder;

/** What a contender prints that has to wait for this holder. */
const waitingFor = (holder: Holder) => `waiting for another holder: ${holderText(holder)}`;

describe('one at a time', () => {
  test('two processes that take turns are never in together', async () => {
    const guarded = join(temporaryDirectory(), 'inside');
    const two = ['one', 'two'].map((task) => new Contender(task, { rounds: 6, pause: 15, guarded }));
    for (const { ended } of two) {
      const result = await ended;
      expect(result).toMatchObject({ status: 0, stderr: '' });
      expect(result.stdout.match(/held/g)).toHaveLength(6);
    }
  });

  test('ten at once all get in, one after the other; each says once whom it waits for', async () => {
    const guarded = join(temporaryDirectory(), 'inside');
    const first = await takeAtOnce();
    const holder = recorded();
    const ten = Array.from({ length: 10 }, (_, n) => new Contender(`task ${n}`, { pause: 15, guarded }));
    await Promise.all(ten.map((contender) => contender.says('waiting')));
    await first.release();
    const results = await Promise.all(ten.map(({ ended }) => ended));
    expect(results.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      Array.from({ length: 10 }, () => ({ status: 0, stderr: '' })),
    );
    for (const { stdout } of results) expect(stdout).toBe(`${waitingFor(holder)}\nheld\ndone\n`);
    expect(holder).toMatchObject({ pid: process.pid, task: 'at once' });
    expect(existsSync(path)).toBe(false);
  });

  test('the one that waits names the one that holds', async () => {
    const go = join(temporaryDirectory(), 'go');
    const first = new Contender('stage gateway', { pause: go });
    await first.says('held');
    const holder = recorded();
    expect(holder).toMatchObject({ pid: first.pid, task: 'stage gateway' });
    const second = new Contender('stage supervisor');
    await second.says('waiting');
    writeFileSync(go, '');
    expect((await second.ended).stdout).toBe(`${waitingFor(holder)}\nheld\ndone\n`);
    expect((await first.ended).stdout).toBe('held\ndone\n');
  });
});

describe('what cannot block', () => {
  test('SIGKILL of the holder lets the next in at once', async () => {
    const first = new Contender('killed', { pause: 60_000 });
    await first.says('held');
    const second = new Contender('next');
    await second.says(waitingFor(recorded()));
    const before = performance.now();
    first.kill('SIGKILL');
    await second.says('held');
    expect(performance.now() - before).toBeLessThan(1500);
    expect((await second.ended).status).toBe(0);
    const lock = await takeAtOnce();
    await lock.release();
  });

  test.skipIf(!hasProc)('a pid that another process has by now (skipped without /proc)', async () => {
    leave(JSON.stringify({ ...own(), startTicks: '1' }));
    const lock = await takeAtOnce();
    expect(recorded()).toMatchObject({ ...thisProcess(), task: 'at once' });
    await lock.release();
  });

  test.each([
    '',
    '\0\0\0',
    '{',
    'null',
    '[]',
    '"text"',
    '{}',
    '{"pid":"1","task":"x"}',
    '{"pid":0,"task":"x"}',
    '{"pid":-1,"task":"x"}',
    '{"pid":1.5,"task":"x"}',
    '{"pid":1}',
    `{"pid":${Number.MAX_SAFE_INTEGER},"task":"x"}`,
  ])('a broken record: %j', async (record) => {
    leave(record);
    const lock = await takeAtOnce();
    await lock.release();
    expect(existsSync(path)).toBe(false);
  });
});

describe('in one process', () => {
  /** Runs bodies under the lock, with a screen that shows what is said. */
  function place() {
    const shown = screen();
    const ctx = { signals: new Signals(), terminal: new Terminal(shown.out, shown.err, {}) };
    const locked = <T>(task: string, body: () => Promise<T>) =>
      whileLocked(ctx, { path, task, other: 'another holder' }, body);
    return { locked, said: shown.stderr };
  }

  test('the record stands while the lock is held, and the next comes after the release', async () => {
    const lock = await takeAtOnce();
    const record = recorded();
    expect(record).toMatchObject({ ...thisProcess(), task: 'at once' });
    expect(Date.now() - Date.parse(record.since)).toBeLessThan(60_000);
    expect(lockHolder(path)).toEqual(record);
    expect(await takeLock(path, 'second')).toEqual(record);
    const { locked, said } = place();
    let isIn = false;
    const second = locked('second', async () => {
      isIn = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(isIn).toBe(false);
    await lock.release();
    await second;
    expect(isIn).toBe(true);
    expect(said()).toBe(`${waitingFor(record)}\n`);
    expect(lockHolder(path)).toBeUndefined();
  });

  test('a body gives its value, and a lock that was free is not spoken of', async () => {
    const { locked, said } = place();
    expect(await locked('task', async () => recorded().task)).toBe('task');
    expect(said()).toBe('');
    expect(existsSync(path)).toBe(false);
  });

  test('a body that fails releases it, and its error is the one to see', async () => {
    const { locked } = place();
    const failing = locked('task', async () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(existsSync(path)).toBe(false);
    await (await takeAtOnce()).release();
  });

  test("a release leaves another process's record alone", async () => {
    const lock = await takeAtOnce();
    const foreign = JSON.stringify({ pid: 1, task: 'foreign', since: '2026-01-02T03:04:05.000Z' });
    leave(foreign);
    await lock.release();
    expect(readFileSync(path, 'utf8')).toBe(foreign);
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)('%s while waiting ends the task with %i, and the holder keeps its lock', async (signal, status) => {
  leave(JSON.stringify(own()));
  const waiting = new Contender('waits');
  await waiting.says(waitingFor(own()));
  waiting.kill(signal);
  expect(await waiting.ended).toMatchObject({ status, stderr: '' });
  expect((await waiting.ended).stdout).toBe(`${waitingFor(own())}\nstopped by ${signal}\n`);
  expect(readFileSync(path, 'utf8')).toBe(JSON.stringify(own()));
});

test('a holder for users', () => {
  const time = new Date(own().since).toLocaleTimeString('en-GB');
  expect(holderText({ ...own(), pid: 7, task: 'a\nb' })).toBe(`pid 7 (a\\nb, since ${time})`);
});
