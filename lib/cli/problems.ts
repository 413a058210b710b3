// SPDX-License-Identifier: Apache-2.0

/** Everything that is wrong at once: the first missing thing does not hide the second. */

import { describeError, EXIT, InterruptedError, machineErrorText, TaskError } from '../errors.ts';
import type { Terminal } from './terminal.ts';

/** How each value of a record is read; a reader may use the others. */
type Readers<T> = { readonly [K in keyof T]: (values: T) => T[K] };

/** The error of a preflight: the last of its problems, after the others were printed. */
export class PreflightError extends TaskError {
  /** All of them, in their order. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.at(-1) ?? '', EXIT.usage);
    this.problems = problems;
  }
}

export class Problems {
  /** The lines that are printed, each once. */
  readonly #lines = new Set<string>();

  /** A line for each problem, in their order. */
  get lines(): readonly string[] {
    return [...this.#lines];
  }

  /**
   * Reads values. A wrong one is a problem, and throws its error wherever it is used: a check that depends on it ends
   * there, without a second problem, and no other value takes its place.
   */
  values<T extends object>(readers: Readers<T>): T {
    const values = {} as T;
    for (const [name, read] of Object.entries(readers) as [keyof T, (values: T) => T[keyof T]][]) {
      let result: { readonly value: T[keyof T] } | { readonly error: unknown } | undefined;
      const get = () => {
        result ??= settled(() => read(values));
        if ('error' in result) throw result.error;
        return result.value;
      };
      Object.defineProperty(values, name, { get, enumerable: true });
    }
    for (const name of Object.keys(readers) as (keyof T)[]) this.attempt(() => values[name]);
    return values;
  }

  /** Runs a check; `undefined` takes the place of its result where something is wrong. */
  attempt<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      return this.#note(error);
    }
  }

  /** The same for an asynchronous check. */
  async attemptAsync<T>(body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      return this.#note(error);
    }
  }

  /**
   * Ends the task where anything was wrong: a line for each problem, in their order.
   * @throws PreflightError, whatever status a program has ended with: nothing has been started
   */
  throwIfAny(terminal: Terminal): void {
    const { lines } = this;
    if (lines.length === 0) return;
    for (const line of lines.slice(0, -1)) terminal.error(line);
    throw new PreflightError(lines);
  }

  /** A signal to the task or a bug of ours is not something that the user has set: it ends the task at once. */
  #note(error: unknown): undefined {
    const isProblem = error instanceof TaskError || machineErrorText(error) !== undefined;
    if (!isProblem || error instanceof InterruptedError) throw error;
    this.#lines.add(describeError(error));
  }
}

function settled<T>(read: () => T): { readonly value: T } | { readonly error: unknown } {
  try {
    return { value: read() };
  } catch (error) {
    return { error };
  }
}
