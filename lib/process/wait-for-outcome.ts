// SPDX-License-Identifier: Apache-2.0

/** From a running command to its outcome: within its time limit, with the task's signals passed on. */

import type { ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ProcessPromise } from 'zx/core';
import { EXIT, failure, statusOfSignal } from '../errors.ts';
import type { Outcome } from './result.ts';
import { killGroup, type Signals } from './signals.ts';

/** How long the output of a program that has ended may be silent before it counts as complete. */
const QUIET_MS = 250;
/** Output that never ends is not the program's. */
const QUIET_ROUNDS = 20;

/** Text for a command's stdin, which is empty otherwise. */
export interface Input {
  readonly input?: string | undefined;
}

export interface LaunchOptions extends Input, SettleOptions {
  /** For stdout and stderr: captured, or the terminal's stderr. */
  readonly stdio: readonly ['pipe' | 2, 'pipe' | 2];
  /** A soft limit in place of the guard's. */
  readonly limit?: number;
}

/** A program that runs beside the task. */
export interface Beside {
  /** That of the program, which leads a session and a process group of its own. */
  readonly pid: number | undefined;
  /** Its exit status, when it has ended. */
  readonly ended: Promise<number>;
}

export interface SettleOptions {
  readonly timeoutMs?: number;
  /** Kills the program, whose result is not needed any more. */
  readonly unless?: AbortSignal | undefined;
  readonly onStderr?: (bytes: Buffer) => void;
  /** As `Command.endedBy`. */
  readonly endedBy?: NodeJS.Signals | undefined;
}

/**
 * Waits for a command that leads a process group of its own.
 * @throws failure where the shell itself could not be started, InterruptedError for a signal to the task
 */
export async function settle(running: ProcessPromise, signals: Signals, options: SettleOptions): Promise<Outcome> {
  const { child } = running;
  // A program that ends without reading all of its input is judged by its status.
  child?.stdin?.on('error', () => undefined);
  if (options.onStderr !== undefined) child?.stderr?.on('data', options.onStderr);
  let timedOut = false;
  const kill = () => {
    timedOut = true;
    if (child !== undefined) killGroup(child, 'SIGKILL');
  };
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(kill, options.timeoutMs);
  options.unless?.addEventListener('abort', kill, { once: true });
  if (child !== undefined) {
    child.once('exit', () => clearTimeout(timer));
    closeWhenQuiet(child);
  }
  try {
    const output = child === undefined ? await running : await signals.during(child, running, options.endedBy);
    if (output.cause instanceof Error) throw failure('bash could not be started', EXIT.failed, output);
    const signal = output.signal ?? undefined;
    const status = output.exitCode ?? (signal === undefined ? EXIT.failed : statusOfSignal(signal));
    return { status, signal, stdout: output.stdout, stderr: output.stderr, timedOut };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Closes the output of a program after its end, once nothing comes any more: what it leaves running (the connection of
 * ssh, a server) may hold it open for as long as it likes.
 */
function closeWhenQuiet(child: ChildProcess): void {
  const streams = [child.stdout, child.stderr].filter((stream) => stream instanceof Readable);
  let pieces = 0;
  for (const stream of streams) stream.on('data', () => pieces++);
  child.once('exit', async () => {
    for (let round = 0, seen = -1; seen !== pieces && round < QUIET_ROUNDS; round++) {
      seen = pieces;
      await sleep(QUIET_MS, undefined, { ref: false });
      // Timers come before input that has been waiting for as long.
      await nextTurn();
      await nextTurn();
    }
    for (const stream of streams) stream.destroy();
  });
}
