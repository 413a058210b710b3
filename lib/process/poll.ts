// SPDX-License-Identifier: Apache-2.0

/** Waiting for what does not announce itself: a port, a lock, the end of a process group. */

import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries until `attempt` gives a value, with this pause between two tries. After the time limit the last one counts.
 * @param options `signal` ends the waiting: `Signals.aborted` for what a user may interrupt
 * @throws the reason of `signal`, and whatever `attempt` throws
 */
export async function poll<T>(
  attempt: () => T | undefined | Promise<T | undefined>,
  options: { readonly intervalMs: number; readonly timeoutMs?: number; readonly signal?: AbortSignal },
): Promise<T | undefined> {
  const { intervalMs, timeoutMs = Number.POSITIVE_INFINITY, signal } = options;
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
