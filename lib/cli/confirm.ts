// SPDX-License-Identifier: Apache-2.0

/** Asking the user before something that cannot be undone. */

import { createInterface } from 'node:readline/promises';
import { oneLine } from '../errors.ts';
import type { Signals } from '../process/signals.ts';
import type { Terminal } from './terminal.ts';

/** Whether there is a terminal for the question and for its response. */
export function canConfirm({ isInteractive }: Terminal): boolean {
  return process.stdin.isTTY === true && isInteractive;
}

/**
 * Whether the user types `y` or `yes`; anything else, and the end of the input, is no.
 * @throws InterruptedError for a signal
 */
export async function confirm({ signals }: { readonly signals: Signals }, question: string): Promise<boolean> {
  // Without `terminal` the keys of the terminal still send their signals.
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: false });
  const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  const typed = lines.question(`${oneLine(question)} [y/N] `, { signal: signals.aborted }).catch(() => '');
  const text = await Promise.race([typed, ended]);
  lines.close();
  signals.throwIfReceived();
  return /^y(es)?$/i.test(text.trim());
}
