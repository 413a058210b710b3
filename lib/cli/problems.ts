// SPDX-License-Identifier: Apache-2.0

/** Everything that is wrong at once, in a preflight and in files: the first problem does not hide the second. */

import { describeError, EXIT, failure, InterruptedError, machineErrorText, TaskError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Terminal } from './terminal.ts';

/** The error of a preflight: the last of its problems, after the others were printed. */
export class PreflightError extends TaskError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.at(-1) ?? '', EXIT.usage);
    this.problems = problems;
  }
}

export class Problems {
  /** The lines that are printed, each once. */
  readonly #lines = new Set<string>();

  get lines(): readonly string[] {
    return [...this.#lines];
  }

  /**
   * Reads values, each by a reader that may use the others. A wrong one is a problem, and throws its error wherever it is
   * used: a check that depends on it ends there, without a second problem.
   */
  values<T extends object>(readers: { readonly [K in keyof T]: (values: T) => T[K] }): T {
    const values = {} as T;
    const names = Object.keys(readers) as (keyof T)[];
    for (const name of names) {
      let settled: (() => T[keyof T]) | undefined;
      const get = () => {
        settled ??= settle(() => readers[name](values));
        return settled();
      };
      Object.defineProperty(values, name, { get, enumerable: true });
    }
    for (const name of names) this.attempt(() => values[name]);
    return values;
  }

  /** Runs a check; its result is `undefined` where something is wrong. */
  attempt<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      return this.#note(error);
    }
  }

  async attemptAsync<T>(body: () => Promise<T>): Promise<T | undefined> {
    try {
      return await body();
    } catch (error) {
      return this.#note(error);
    }
  }

  /** Ends the task where anything was wrong: a line for each problem. @throws PreflightError: nothing has been started */
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

/** What gives the value of a body, or throws its error, as often as it is called. */
function settle<T>(body: () => T): () => T {
  try {
    const value = body();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** What was found in a file; each reason is one whole line that begins with its path. */
export type VerdictOf<Facts> =
  | { readonly ok: true; readonly facts: Facts }
  | { readonly ok: false; readonly reasons: readonly string[] };

/** Inspects every file: results, or the plan, on stdout, and reasons on stderr. @throws TaskError (1) where one failed */
export function printVerdicts<Facts>(
  { startDirectory, terminal }: { startDirectory: string; terminal: Terminal },
  paths: readonly string[],
  isDryRun: boolean,
  inspect: (path: string) => VerdictOf<Facts>,
  passed: (facts: Facts) => string,
): void {
  if (isDryRun) terminal.result(...paths.map((path) => `# checks ${path}`));
  let failed = 0;
  for (const path of isDryRun ? [] : paths) {
    terminal.result(`==> Inspecting ${path}`);
    const verdict = inspect(absolutePath(startDirectory, path));
    if (verdict.ok) terminal.result(passed(verdict.facts));
    else {
      failed++;
      for (const reason of verdict.reasons) terminal.error(reason);
    }
  }
  if (failed > 0) throw failure(`${failed} of ${paths.length} files failed the check`);
}
