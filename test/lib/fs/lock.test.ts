// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { describeError } from '../../../lib/errors.ts';
import { type Held, holderText, type Lock, takeLock, whileLocked, whoHolds } from '../../../lib/fs/lock.ts';
import { pidNamespace } from '../../../lib/process/identity.ts';
import { Signals } from '../../../lib/process/signals.ts';
import { screen } from '../../support/in-process.ts';
import { requireThing, requireTools } from '../../support/real-tools.ts';
import { runProcess, type TaskResult } from '../../support/run-task.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOLDER = join(import.meta.dirname, '../../support/lock-holder.ts');
const isRoot = process.geteuid?.() === 0;

let path: string;
beforeEach(() => {
  path = join(temporaryDirectory(), 'a directory/the.lock');
});

/** The place that is locked. */
const place = () => ({ path, remedy: 'move it' });

/** A process that takes the lock. */
class Contender {
  readonly ended: Promise<TaskResult>;
  #child: ChildProcess | undefined;
  #output = '';

  /** @param options `through` starts it with another program and its arguments */
  constructor(
    task: string,
    options: { rounds?: number; pause?: number | string; guarded?: string; through?: readonly string[] } = {},
  ) {
    const rest = [String(options.rounds ?? 1), String(options.pause ?? 0), options.guarded ?? ''];
    const argv = [...(options.through ?? []), process.execPath, HOLDER, path, task, ...rest];
    this.ended = runProcess(argv[0] ?? '', argv.slice(1), {
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
const own = () => {
  const time = '2026-01-02T03:04:05.000Z';
  const namespace = pidNamespace() ?? 'none';
  return { pid: process.pid, task: 'stage x', since: time, host: hostname(), namespace } satisfies Held;
};

/** Leaves a text as a process would have. */
function leave(record: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, record);
}

/** Takes the lock in this process; a lock that is held is an error. */
async function takeAtOnce(): Promise<Lock> {
  const taken = await takeLock(place(), 'at once');
  if (!('release' in taken)) throw new Error(`it is held by ${JSON.stringify(taken)}`);
  let isHeld = true;
  const release = () => {
    if (isHeld) taken.release();
    isHeld = false;
  };
  onTestFinished(release);
  return { ...taken, release };
}

/** A Node process that has the lock's module. */
function runModule(script: string) {
  const head = `import { takeLock, whoHolds } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/fs/lock.ts'))};
    const place = ${JSON.stringify(place())};`;
  const args = ['--input-type=module-typescript', '-e', `${head}\n${script}`];
  return spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Why the lock cannot be taken. */
const refusal = async () =>
  takeLock(place(), 'x').then(
    () => 'it was taken',
    (error) => `${error.exitCode}: ${describeError(error)}`,
  );

/** What is on record. */
const recorded = () => JSON.parse(readFileSync(path, 'utf8')) as Required<Held>;

/** What a contender prints that has to wait for this holder. */
const waitingFor = (holder: Held) => `waiting for another holder: ${holderText(holder)}`;

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
    first.release();
    const results = await Promise.all(ten.map(({ ended }) => ended));
    expect(results.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      Array.from({ length: 10 }, () => ({ status: 0, stderr: '' })),
    );
    for (const { stdout } of results) expect(stdout).toBe(`${waitingFor(holder)}\nheld\ndone\n`);
    expect(holder).toMatchObject({ pid: process.pid, task: 'at once' });
  });

  test('the one that waits names the one that holds', async () => {
    const go = join(temporaryDirectory(), 'go');
    const first = new Contender('stage gateway', { pause: go });
    await first.says('held');
    const holder = recorded();
    expect(holder).toMatchObject({ pid: first.pid, task: 'stage gateway' });
    const expected = `${waitingFor(holder)}\nheld\ndone\n`;
    const second = new Contender('stage supervisor');
    await second.says('waiting');
    writeFileSync(go, '');
    expect((await second.ended).stdout).toBe(expected);
    expect((await first.ended).stdout).toBe('held\ndone\n');
  });

  test('the file can be removed: who waits then takes the new one', async () => {
    const go = join(temporaryDirectory(), 'go');
    const first = new Contender('first', { pause: go });
    await first.says('held');
    const second = new Contender('second', { pause: 60_000 });
    await second.says('waiting');
    rmSync(path);
    await second.says('held');
    expect(await whoHolds(place())).toMatchObject({ pid: second.pid });
    writeFileSync(go, '');
    await first.ended;
    expect(await whoHolds(place())).toMatchObject({ pid: second.pid });
  });
});

const unshare = requireTools('unshare');
describe('F6: in other pid namespaces', unshare.options, () => {
  // What is skipped is collected all the same.
  const namespace = unshare.ok ? [unshare.path('unshare'), '--pid', '--fork', '--mount-proc'] : [];

  test.each([
    ['the holder is in one', namespace, []],
    ['the other one is', [], namespace],
    ['each is in one of its own', namespace, namespace],
  ])('%s', async (_, ofHolder, ofOther) => {
    const guarded = join(temporaryDirectory(), 'inside');
    const go = join(temporaryDirectory(), 'go');
    const first = new Contender('first', { pause: go, guarded, through: ofHolder });
    await first.says('held');
    const second = new Contender('second', { guarded, through: ofOther });
    await second.says(`pid ${recorded().pid} of another container (first, since `);
    writeFileSync(go, '');
    expect(await second.ended).toMatchObject({ status: 0 });
  });

  test('SIGKILL of a whole namespace frees it', async () => {
    const first = new Contender('first', { pause: 60_000, through: [...namespace, '--kill-child'] });
    await first.says('held');
    first.kill('SIGKILL');
    await first.ended;
    expect((await new Contender('second').ended).stdout).toBe('held\ndone\n');
  });
});

test('one that only looks is in nobody’s way', async () => {
  (await takeAtOnce()).release();
  const looker = runModule(
    `for (;;) { await whoHolds(place); await new Promise((resolve) => setTimeout(resolve, 3)); }`,
  );
  onTestFinished(() => void looker.kill('SIGKILL'));
  for (let round = 0; round < 100; round++) {
    (await takeAtOnce()).release();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

describe('a program that replaces the process', () => {
  test('keeps the lock for as long as it runs, and nothing is left of it after that', async () => {
    const lock = await takeAtOnce();
    lock.release();
    const child = runModule(`
      const lock = await takeLock(place, 'replaced');
      await lock.keepOnExec();
      process.execve('/bin/sh', ['sh', '-c', 'echo up; read line'], process.env);`);
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect(await whoHolds(place())).toMatchObject({ pid: child.pid, task: 'replaced' });
    expect(await takeLock(place(), 'second')).toMatchObject({ pid: child.pid });
    child.stdin.end();
    await once(child, 'exit');
    expect(await whoHolds(place())).toBeUndefined();
  });

  test('what it has started and not ended keeps it too', async () => {
    const child = runModule(`
      const lock = await takeLock(place, 'replaced');
      await lock.keepOnExec();
      process.execve('/bin/sh', ['sh', '-c', 'sleep 60 </dev/null >/dev/null 2>&1 & echo $!'], process.env);`);
    const [out] = await once(child.stdout, 'data');
    await once(child, 'exit');
    const held = await whoHolds(place());
    process.kill(Number(out), 'SIGKILL');
    expect(held).toMatchObject({ pid: child.pid, task: 'replaced' });
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
    await takeAtOnce();
  });

  test('a record that says that we hold it', async () => {
    leave(JSON.stringify(own()));
    expect(await whoHolds(place())).toBeUndefined();
    await takeAtOnce();
    expect(recorded()).toMatchObject({ pid: process.pid, task: 'at once' });
  });

  test('F3: garbage in the file, and in that of an older version beside it', async () => {
    for (const garbage of ['', '\0\0\0', '{', 'null', '[]', '"text"', '{"pid":1}', 'x'.repeat(100_000)]) {
      leave(garbage);
      writeFileSync(`${path}.db`, garbage);
      const lock = await takeAtOnce();
      expect(recorded()).toMatchObject({ pid: process.pid });
      lock.release();
    }
  });

  test('F3: a path as long as the system takes it', async () => {
    path = join(dirname(path), 'd'.repeat(250), ...Array.from({ length: 14 }, () => 'e'.repeat(250)), 'the.lock');
    await takeAtOnce();
    expect((await new Contender('second', { pause: 0 }).says('waiting').then(() => recorded())).task).toBe('at once');
    path = join(path, '..', 'f'.repeat(250), 'g'.repeat(250), 'the.lock');
    expect(await refusal()).toMatch(/^2: .*the\.lock cannot be used; remove it, or move it: .*ENAMETOOLONG/);
  });

  test('a record that cannot be read says no more than that', async () => {
    await takeAtOnce();
    for (const garbage of ['', '{', '[]', '"x"']) {
      writeFileSync(path, garbage);
      expect(await whoHolds(place())).toEqual({});
    }
    const second = new Contender('second');
    await second.says('waiting for another holder: a process that has not said which\n');
  });
});

describe('what is not a file of ours', () => {
  beforeEach(() => void mkdirSync(dirname(path)));

  test('F4: a link is not followed, and what it points at stays as it is', async () => {
    const victim = join(dirname(path), 'victim');
    writeFileSync(victim, 'text');
    symlinkSync(victim, path);
    expect(await refusal()).toMatch(/^2: the lock .*the\.lock cannot be used; remove it, or move it: .*\(ELOOP\)$/);
    await expect(whoHolds(place())).rejects.toThrow('cannot be used');
    expect(readFileSync(victim, 'utf8')).toBe('text');
    rmSync(path);
    symlinkSync(join(dirname(path), 'nothing'), path);
    expect(await refusal()).toMatch(/ELOOP/);
    expect(existsSync(join(dirname(path), 'nothing'))).toBe(false);
  });

  test('F4: neither is a second name of a file', async () => {
    const victim = join(dirname(path), 'victim');
    writeFileSync(victim, 'text');
    linkSync(victim, path);
    expect(await refusal()).toBe(
      `2: the lock ${path} cannot be used; remove it, or move it: it is not a file of its own`,
    );
    expect(readFileSync(victim, 'utf8')).toBe('text');
  });

  test('F3: a directory, and a file where a directory is wanted', async () => {
    mkdirSync(path);
    expect(await refusal()).toMatch(/^2: the lock .*the\.lock cannot be used; remove it, or move it: .*\(EISDIR\)$/);
    rmSync(path, { recursive: true });
    writeFileSync(path, '');
    path = join(path, 'the.lock');
    expect(await refusal()).toMatch(/^2: the lock .* cannot be used; remove it, or move it: /);
    expect(await whoHolds(place())).toBeUndefined();
  });

  const mkfifo = requireTools('mkfifo');
  test('a pipe is not waited for', mkfifo.options, async () => {
    execFileSync('mkfifo', [path]);
    expect(await refusal()).toMatch(/cannot be used; remove it, or move it: it is not a file of its own$/);
  });
});

const setpriv = requireTools('setpriv');
const other = setpriv.ok ? [setpriv.path('setpriv'), '--reuid=12345', '--regid=12345', '--clear-groups'] : [];

/** Whether the other user can start this Node and read this clone: one in root's home is closed. */
function othersCanRead(): boolean {
  const [program = 'false', ...args] = [...other, process.execPath, '--check', import.meta.filename];
  return spawnSync(program, args).status === 0;
}

const twoUsers = requireThing('root, and a clone that others can read', isRoot && othersCanRead());
describe('F7: two users', setpriv.ok ? twoUsers : setpriv.options, () => {
  beforeEach(() => {
    mkdirSync(dirname(path));
    for (const directory of [dirname(path), dirname(dirname(path))]) chmodSync(directory, 0o755);
  });

  test('of a directory that both may write to', async () => {
    chmodSync(dirname(path), 0o777);
    const lock = await takeAtOnce();
    expect(statSync(path).mode & 0o777).toBe(0o666);
    const second = new Contender('second', { through: other });
    await second.says(waitingFor(recorded()));
    lock.release();
    expect(await second.ended).toMatchObject({ status: 0 });
    expect((await new Contender('third').ended).stdout).toBe('held\ndone\n');
  });

  test('of a directory that only one may write to: one line', async () => {
    const lock = await takeAtOnce();
    lock.release();
    const second = await new Contender('second', { through: other }).ended;
    expect(second).toMatchObject({ status: 2, stderr: '' });
    expect(second.stdout).toBe(`the lock ${path} cannot be used; remove it, or move it\n`);
  });

  test('what root creates in the directory of a user is that user’s', async () => {
    chownSync(dirname(path), 12345, 12345);
    await takeAtOnce();
    expect(statSync(path)).toMatchObject({ uid: 12345, gid: 12345 });
  });
});

const strace = requireTools('strace');
describe('R2: a file system that does not lock', strace.options, () => {
  test.each(['ENOLCK', 'EACCES', 'ENOSYS', 'EOPNOTSUPP'])('%s is said within a second', async (code) => {
    const inject = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=flock', '-e', `inject=flock:error=${code}`];
    const before = performance.now();
    const { stdout, status } = await new Contender('x', { through: [strace.path('strace'), ...inject] }).ended;
    // Both names have one value.
    const name = code === 'EOPNOTSUPP' ? 'ENOTSUP' : code;
    const text = `the lock ${path} cannot be taken: its file system gives no lock (${name}); move it`;
    expect({ stdout, status }).toEqual({ stdout: `${text}\n`, status: 2 });
    expect(performance.now() - before).toBeLessThan(5000);
  });
});

describe('in one process', () => {
  /** Runs bodies under the lock, with a screen that shows what is said. */
  function bodies() {
    const shown = screen();
    const ctx = { signals: new Signals(), terminal: new Terminal(shown.out, shown.err, {}) };
    const locked = <T>(task: string, body: () => Promise<T>) =>
      whileLocked(ctx, { ...place(), task, other: 'another holder' }, body);
    return { locked, said: shown.stderr };
  }

  test('the record stands while the lock is held, and the next comes after the release', async () => {
    const lock = await takeAtOnce();
    const record = recorded();
    expect(record).toMatchObject({ pid: process.pid, task: 'at once' });
    expect(Date.now() - Date.parse(record.since)).toBeLessThan(60_000);
    expect(await whoHolds(place())).toEqual(record);
    expect(await takeLock(place(), 'second')).toEqual(record);
    const { locked, said } = bodies();
    let isIn = false;
    const second = locked('second', async () => {
      isIn = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(isIn).toBe(false);
    lock.release();
    await second;
    expect(isIn).toBe(true);
    expect(said()).toBe(`${waitingFor(record)}\n`);
    expect(await whoHolds(place())).toBeUndefined();
  });

  test('a body gives its value, and a lock that was free is not spoken of', async () => {
    const { locked, said } = bodies();
    expect(await locked('task', async () => recorded().task)).toBe('task');
    expect(said()).toBe('');
  });

  test('F2: a body that fails releases it, and its error is the one to see', async () => {
    const { locked } = bodies();
    const failing = locked('task', async () => {
      rmSync(dirname(path), { recursive: true });
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await takeAtOnce();
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const)('%s while waiting ends the task with %i, and the holder keeps its lock', async (signal, status) => {
  await takeAtOnce();
  const record = recorded();
  const waiting = new Contender('waits');
  await waiting.says(waitingFor(record));
  waiting.kill(signal);
  expect(await waiting.ended).toMatchObject({ status, stderr: '' });
  expect((await waiting.ended).stdout).toBe(`${waitingFor(record)}\nstopped by ${signal}\n`);
  expect(recorded()).toEqual(record);
});

test('a holder for users', () => {
  const time = new Date('2026-01-02T03:04:05.000Z').toLocaleTimeString('en-GB');
  const holder = { ...own(), pid: 7, task: 'a\nb' };
  expect(holderText(holder)).toBe(`pid 7 (a\\nb, since ${time})`);
  expect(holderText({ ...holder, host: 'far\n' })).toBe(`pid 7 on far\\n (a\\nb, since ${time})`);
  expect(holderText({ ...holder, namespace: 'pid:[1]' })).toMatch(/^pid 7 of another container \(/);
  expect(holderText({})).toBe('a process that has not said which');
});
