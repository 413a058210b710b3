// SPDX-License-Identifier: Apache-2.0

/**
 * H4: bash leaves cargo running as an orphan on SIGTERM, and waits for the whole build on SIGINT.
 * Here a signal reaches everything that was started, the task waits for it, and exits 128+n.
 */

import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { InterruptedError } from '../../../lib/errors.ts';
import { exitStatus, Signals } from '../../../lib/process/signals.ts';
import { requireTools } from '../../support/real-tools.ts';
import { orderRunner } from '../../support/run-driver.ts';
import type { TaskResult } from '../../support/run-task.ts';

const pgrep = requireTools('pgrep');
const ps = requireTools('ps');

/** A sleep that can be found by its argument. */
function uniqueSleep(): string {
  return `${10_000 + Math.floor(Math.random() * 80_000)}.${process.pid}`;
}

function running(marker: string): string[] {
  const { stdout } = spawnSync(pgrep.path('pgrep'), ['-f', `sleep ${marker}`], { encoding: 'utf8' });
  return stdout.split('\n').filter((pid) => pid !== '');
}

/** A tree of three generations, each with a sleep, that says when it is complete. */
function tree(marker: string, trap = ''): string[] {
  const inner = `${trap} sleep ${marker} & echo ready >&2; sleep ${marker}`;
  return ['bash', '-c', `${trap} bash -c '${inner}' & sleep ${marker} & wait; wait; sleep ${marker}`];
}

/** Runs a command, and calls `act` once it says that it is ready. */
async function signalled(argv: string[], act: (child: ChildProcess) => void): Promise<TaskResult> {
  return orderRunner(
    { verb: 'run', args: argv },
    {
      onStart: (child) => {
        let text = '';
        child.stderr?.on('data', (data) => {
          const before = text.includes('\nready');
          text += data;
          if (!before && text.includes('\nready')) act(child);
        });
      },
    },
  );
}

describe.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)('F9: %s', pgrep.options, (signal) => {
  test('to the task alone: the whole tree ends, nothing is left, 128+n', async () => {
    const marker = uniqueSleep();
    const result = await signalled(tree(marker), (child) => child.kill(signal));
    expect(result.status).toBe(128 + constants.signals[signal]);
    expect(result.stderr).toContain(`error: stopped by ${signal}`);
    expect(running(marker)).toEqual([]);
  });
});

test('the task waits for a child that needs a moment to clean up', async () => {
  const script = 'trap "sleep 0.4; echo cleaned >&2; exit 0" TERM; echo ready >&2; sleep 60 & wait';
  const result = await signalled(['bash', '-c', script], (child) => child.kill('SIGTERM'));
  expect(result.status).toBe(143);
  expect(result.stderr).toContain('cleaned');
});

test('a second signal kills what ignores the first', pgrep.options, async () => {
  const marker = uniqueSleep();
  const result = await signalled(tree(marker, "trap '' INT TERM;"), (child) => {
    child.kill('SIGINT');
    setTimeout(() => child.kill('SIGINT'), 300);
  });
  expect(result.status).toBe(130);
  expect(running(marker)).toEqual([]);
});

test('a rest of the group that survives its leader is killed after the grace', pgrep.options, async () => {
  const marker = uniqueSleep();
  const stubborn = `trap '' TERM; echo ready >&2; exec sleep ${marker}`;
  const script = `bash -c "${stubborn}" < /dev/null & sleep ${marker}`;
  const result = await signalled(['bash', '-c', script], (child) => child.kill('SIGTERM'));
  expect(result.status).toBe(143);
  expect(running(marker)).toEqual([]);
});

test('SIGTSTP stops what was started too, SIGCONT lets it go on', ps.options, async () => {
  const ticks = 'echo ready >&2; for i in 1 2 3 4 5 6; do sleep 0.1; echo tick >&2; done';
  // A shell with job control, to which a stopped task can come back.
  const through = ['bash', '-c', 'set -m; "$@" & echo "pid $!" >&2; wait -f $!', 'bash'];
  const states: string[] = [];
  let text = '';
  const onStart = (child: ChildProcess) =>
    void child.stderr?.on('data', (piece) => {
      const before = text.includes('\nready');
      text += piece;
      if (before || !text.includes('\nready')) return;
      const task = Number(/^pid (\d+)$/m.exec(text)?.[1]);
      process.kill(task, 'SIGTSTP');
      setTimeout(() => {
        const args = ['-o', 'state=', '--ppid', String(task), '-p', String(task)];
        const { stdout } = spawnSync(ps.path('ps'), args, { encoding: 'utf8' });
        states.push(...stdout.split('\n').filter((line) => line.includes('T')));
        process.kill(task, 'SIGCONT');
      }, 400);
    });
  const result = await orderRunner({ verb: 'run', args: ['bash', '-c', ticks] }, { through, onStart });
  expect(states.length).toBeGreaterThanOrEqual(2);
  expect(result.status).toBe(0);
  expect(result.stderr.match(/^tick$/gm)).toHaveLength(6);
});

test('SIGTSTP where no shell could let it go on: nothing is stopped', async () => {
  const ticks = 'echo ready >&2; for i in 1 2 3 4 5 6; do sleep 0.1; echo tick >&2; done';
  const order = { verb: 'run', args: ['bash', '-c', ticks] } as const;
  let text = '';
  // As the leader of a group that nobody else is in, the task is an orphan to the terminal.
  const result = await orderRunner(order, {
    isGroup: true,
    onStart: (child) =>
      child.stderr?.on('data', (piece) => {
        const before = text.includes('\nready');
        text += piece;
        if (!before && text.includes('\nready')) child.kill('SIGTSTP');
      }),
  });
  expect(result.status).toBe(0);
  expect(result.stderr.match(/^tick$/gm)).toHaveLength(6);
});

describe('what a task sees of a signal', () => {
  /** Sends signals to this process while it listens; gives what there is to see after them. */
  async function received(...sent: NodeJS.Signals[]) {
    const signals = new Signals();
    signals.listen();
    try {
      for (const signal of sent) {
        process.kill(process.pid, signal);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      return signals;
    } finally {
      signals.stop();
    }
  }

  test('nothing, before there is one', async () => {
    const signals = await received();
    expect(signals.received).toBeUndefined();
    expect(signals.aborted.aborted).toBe(false);
    expect(() => signals.throwIfReceived()).not.toThrow();
  });

  test('the first one, as an error of its own kind, for whatever waits', async () => {
    const signals = await received('SIGTERM', 'SIGINT');
    expect(signals.received).toBe('SIGTERM');
    expect(signals.aborted.reason).toEqual(new InterruptedError('SIGTERM'));
    expect(() => signals.throwIfReceived()).toThrow(new InterruptedError('SIGTERM'));
  });

  test('F1: one that comes during synchronous work is there once it is asked for', async () => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
      const signals = new Signals();
      signals.listen();
      try {
        // From a callback of the poll phase, where the next turn of the loop comes without a poll.
        await new Promise<void>((resolve) => execFile('true', () => resolve()));
        execFileSync('/bin/sh', ['-c', `kill -s ${signal.slice(3)} ${process.pid}`]);
        await expect(signals.throwIfPending()).rejects.toThrow(new InterruptedError(signal));
      } finally {
        signals.stop();
      }
    }
  });

  test('F10: none for SIGHUP where that is ignored', async () => {
    const signals = new Signals(true);
    signals.listen();
    try {
      process.kill(process.pid, 'SIGHUP');
      await signals.throwIfPending();
      process.kill(process.pid, 'SIGTERM');
      await expect(signals.throwIfPending()).rejects.toThrow(new InterruptedError('SIGTERM'));
    } finally {
      signals.stop();
    }
  });

  test('once it does not listen any more, a signal has its default action', async () => {
    const script = `
      import { Signals } from ${JSON.stringify(new URL('../../../lib/process/signals.ts', import.meta.url).href)};
      const signals = new Signals();
      signals.listen();
      signals.stop();
      process.kill(process.pid, 'SIGTERM');
      setTimeout(() => console.log('still here'), 1000);`;
    const result = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' });
    expect(result).toMatchObject({ signal: 'SIGTERM', stdout: '' });
  });
});

test.each([
  ["trap 'exit 3' HUP; trap : TERM", 1, 3],
  ['trap : HUP TERM', 2, 'SIGKILL'],
])('a child that another signal ends gets that one, and is killed by the next: %s', async (script, count, end) => {
  const signals = new Signals();
  signals.listen();
  try {
    const child = spawn('bash', ['-c', `${script}; echo ready; while :; do sleep 0.05; done`], { detached: true });
    const ended = signals.during(child, exitStatus(child), 'SIGHUP');
    const interrupted = expect(ended).rejects.toThrow(new InterruptedError('SIGTERM'));
    await once(child.stdout, 'data');
    for (let sent = 0; sent < count; sent++) {
      process.kill(process.pid, 'SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await interrupted;
    expect(child.exitCode ?? child.signalCode).toBe(end);
  } finally {
    signals.stop();
  }
});

describe('when the body of a task has ended', () => {
  test('what still runs is ended and waited for, and nothing is started any more', pgrep.options, async () => {
    const signals = new Signals();
    const marker = uniqueSleep();
    const child = spawn('bash', ['-c', `trap 'sleep 0.3; exit 0' TERM; sleep ${marker} & wait`], {
      detached: true,
      stdio: 'ignore',
    });
    const ended = signals.relay(child, exitStatus(child));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await signals.endChildren();
    expect(running(marker)).toEqual([]);
    expect(await ended).toBe(0);
    expect(() => signals.throwIfReceived()).toThrow(new InterruptedError('SIGTERM'));
  });
});
