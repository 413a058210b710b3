// SPDX-License-Identifier: Apache-2.0

/** How far a transfer is: a line that is written over at a terminal, a line every ten seconds elsewhere. */

import type { Terminal } from '../cli/terminal.ts';

const LINE_MS = 10_000;
const PASSING_MS = 200;
const MB = 1_000_000;

export class Progress {
  readonly #terminal: Terminal;
  readonly #what: string;
  readonly #intervalMs: number;
  #last = performance.now();

  /** @param what is transferred, for users */
  constructor(terminal: Terminal, what: string, intervalMs = terminal.hasPassing ? PASSING_MS : LINE_MS) {
    this.#terminal = terminal;
    this.#what = what;
    this.#intervalMs = intervalMs;
  }

  /**
   * @param received bytes so far
   * @param total bytes in all, where it is known
   */
  update(received: number, total: number | undefined): void {
    const now = performance.now();
    if (now - this.#last < this.#intervalMs) return;
    this.#last = now;
    const text = progressText(this.#what, received, total);
    if (this.#terminal.hasPassing) this.#terminal.passing(text);
    else this.#terminal.say(text);
  }
}

/** `gvproxy: 3.2 MB of 15.0 MB (21 %)` */
export function progressText(what: string, received: number, total: number | undefined): string {
  const amount = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`;
  if (total === undefined || total === 0) return `${what}: ${amount(received)}`;
  return `${what}: ${amount(received)} of ${amount(total)} (${Math.floor((received / total) * 100)} %)`;
}
