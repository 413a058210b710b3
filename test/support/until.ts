// SPDX-License-Identifier: Apache-2.0

import { poll } from '../../lib/process/poll.ts';

/** Waits until something holds. @throws Error where it does not within the time */
export async function until(condition: () => boolean, timeoutMs = 15_000): Promise<void> {
  const holds = await poll(() => condition() || undefined, { intervalMs: 20, timeoutMs });
  if (holds === undefined) throw new Error(`within ${timeoutMs} ms it did not come true: ${condition}`);
}
