// SPDX-License-Identifier: Apache-2.0

/**
 * A vitest reporter for the end of a run: which tests were skipped and for want of what, and one closing line of counts,
 * alone and in a fixed form, that a program can read: `12 passed, 0 failed, 3 skipped`.
 */

import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node';
// For what it adds to `TaskMeta`.
import type {} from './real-tools.ts';

/** How one test ended, as far as the end of a run is concerned. */
export interface TestEnd {
  readonly state: 'passed' | 'failed' | 'skipped';
  /** The tools that it needs and that are not here. */
  readonly missingTools?: readonly string[];
  /** What it was skipped with: `skip('no ELF platform')`. */
  readonly note?: string | undefined;
}

export default class SkipReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const ends = modules.flatMap((module) => [...module.children.allTests()].map(endOf));
    // What fails outside a test counts as one that failed: no run with an error may read as `0 failed`.
    const errors = modules.reduce((sum, module) => sum + outsideTests(module), unhandled.length);
    for (const line of closingLines(ends, errors)) this.#vitest?.logger.log(line);
  }
}

/**
 * The lines for the end of a run, the counts last.
 *
 * @param errors failures outside a test, such as a file that could not be loaded
 */
export function closingLines(ends: readonly TestEnd[], errors: number): string[] {
  const count = (state: TestEnd['state']) => ends.filter((end) => end.state === state).length;
  const counts = `${count('passed')} passed, ${count('failed') + errors} failed, ${count('skipped')} skipped`;
  const skips = skipLine(ends.filter((end) => end.state === 'skipped'));
  return skips === undefined ? [counts] : [skips, counts];
}

/** `skipped: 3 tests need zig 0.14.1, 1 test needs cmake and strace`: every test is counted once. */
function skipLine(skipped: readonly TestEnd[]): string | undefined {
  const counts = new Map<string, number>();
  for (const reason of skipped.map(reasonOf)) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const parts = [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => {
      return count === 1 ? `1 test ${reason.replace(/^need /, 'needs ')}` : `${count} tests ${reason}`;
    });
  return parts.length === 0 ? undefined : `skipped: ${parts.join(', ')}`;
}

function reasonOf({ missingTools = [], note }: TestEnd): string {
  const names = [...new Set(missingTools)].sort();
  if (names.length === 0) return note === undefined ? '(no reason given)' : `(${note})`;
  return `need ${[names.slice(0, -1).join(', '), ...names.slice(-1)].filter(Boolean).join(' and ')}`;
}

function endOf(test: TestCase): TestEnd {
  const result = test.result();
  if (result.state !== 'skipped') return { state: result.state === 'passed' ? 'passed' : 'failed' };
  return { state: 'skipped', missingTools: test.meta().missingTools ?? [], note: result.note };
}

/** Errors of a file and of the groups in it: at import, in a `describe`, in `beforeAll`. */
function outsideTests(module: TestModule): number {
  return [module, ...module.children.allSuites()].filter((suite) => suite.errors().length > 0).length;
}
