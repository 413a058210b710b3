// SPDX-License-Identifier: Apache-2.0

/** From a running command to its outcome: within its time limit, with the task's signals passed on. */

import type { ProcessPromise } from 'zx/core';
import { EXIT, failure, statusOfSignal } from '../errors.ts';
import type { Outcome } from './result.ts';
import { killGroup, type Signals } from './signals.ts';

export interface SettleOptions {
  readonly timeoutMs?: number;
  /** Kills the program, whose result is not needed any more. */
  readonly unless?: AbortSignal | undefined;
  readonly onStderr?: (bytes: Buffer) => void;
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
  try {
    const output = child === undefined ? await running : await signals.during(child, running);
    if (output.cause instanceof Error) throw failure('bash could not be started', EXIT.failed, output);
    const signal = output.signal ?? undefined;
    const status = output.exitCode ?? (signal === undefined ? EXIT.failed : statusOfSignal(signal));
    return { status, signal, stdout: output.stdout, stderr: output.stderr, timedOut };
  } finally {
    clearTimeout(timer);
  }
}
