// SPDX-License-Identifier: Apache-2.0

/** Waiting for what does not announce itself: a port, a lock, the end of a process group. */

import { setTimeout as sleep } from 'node:timers/promises';

export interface PollOptions {
  /** The pause between two attempts, in milliseconds. */
  readonly intervalMs: number;
  /** After this time the last attempt counts; without it there is no end but `signal`. */
  readonly timeoutMs?: number;
  /** Ends the waiting: `Signals.aborted` for what a user may interrupt. */
  readonly signal?: AbortSignal;
}

/**
 * Tries until `attempt` gives a value.
 * @returns the value; `undefined` where the time was over
 * @throws the reason of `signal`, and whatever `attempt` throws
 */
export async function poll<T>(
  attempt: () => T | undefined | Promise<T | undefined>,
  { intervalMs, timeoutMs = Number.POSITIVE_INFINITY, signal }: PollOptions,
): Promise<T | undefined> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const isLast = performance.now() >= end;
    const value = await attempt();
    if (value !== undefined || isLast) return value;
    // An abort ends the pause, and the next round throws its reason.
    await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
