// SPDX-License-Identifier: Apache-2.0

/** Everything that is wrong at once: the first missing thing does not hide the second. */

import { describeError, InterruptedError, TaskError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

export class Problems {
  /** By the lines that are printed. */
  readonly #found = new Map<string, TaskError>();

  /** Whether nothing has been found wrong so far. */
  get isEmpty(): boolean {
    return this.#found.size === 0;
  }

  /**
   * Runs a check or reads a value.
   * @param placeholder takes the place of a wrong value, so that what does not depend on it can be checked as well
   */
  attempt<T>(body: () => T, placeholder: T): T {
    try {
      return body();
    } catch (error) {
      this.#note(error);
      return placeholder;
    }
  }

  /** The same for an asynchronous check; `undefined` takes the place of a wrong value. */
  async attemptAsync<T>(body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      this.#note(error);
      return undefined;
    }
  }

  /**
   * Ends the task where anything was wrong: a line for each problem, each once.
   * @throws the last of them
   */
  throwIfAny(terminal: Terminal): void {
    const last = [...this.#found.values()].at(-1);
    if (last === undefined) return;
    for (const line of [...this.#found.keys()].slice(0, -1)) terminal.error(line);
    throw last;
  }

  /** A signal or a bug is not a wrong setting of the user's: it ends the task at once, as everywhere. */
  #note(error: unknown): void {
    if (!(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    this.#found.set(describeError(error), error);
  }
}
