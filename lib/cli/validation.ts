// SPDX-License-Identifier: Apache-2.0

/** Everything that is wrong at once: the first missing thing does not hide the second. */

import { describeError, EXIT, TaskError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

export class Problems {
  readonly #found: TaskError[] = [];

  /**
   * Runs a check or reads a value.
   *
   * @param placeholder stands for the value after a problem; it is never used, because `throwIfAny` comes first
   */
  attempt<T>(body: () => T, placeholder: T): T {
    try {
      return body();
    } catch (error) {
      this.#note(error);
      return placeholder;
    }
  }

  /** The same for what has to be waited for. */
  async ask<T>(body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      this.#note(error);
      return undefined;
    }
  }

  /**
   * Ends the task where anything was wrong: a line for each problem, each once.
   *
   * @throws the last of them
   */
  throwIfAny(terminal: Terminal): void {
    const lines = new Map(this.#found.map((error) => [describeError(error), error]));
    const last = [...lines.values()].at(-1);
    if (last === undefined) return;
    for (const line of [...lines.keys()].slice(0, -1)) terminal.error(line);
    throw last;
  }

  /** A signal or a bug is no problem of the user's settings: it ends the task as it does everywhere. */
  #note(error: unknown): void {
    if (!(error instanceof TaskError) || error.exitCode > EXIT.signalled) throw error;
    this.#found.push(error);
  }
}
