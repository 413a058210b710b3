// SPDX-License-Identifier: Apache-2.0

/** Verifying several files: every file is inspected, and one that fails fails the task. */

import { failure } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Terminal } from './terminal.ts';

/** What was found in a file; each reason is one whole line that begins with its path. */
export type VerdictOf<Facts> =
  | { readonly ok: true; readonly facts: Facts }
  | { readonly ok: false; readonly reasons: readonly string[] };

/**
 * Prints a result for each file on stdout, or the plan, and the reasons against it on stderr.
 * @param paths as the user gave them
 * @param passed the result for a file that passes
 * @throws TaskError (1) that says how many failed
 */
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
    if (verdict.ok) {
      terminal.result(passed(verdict.facts));
    } else {
      failed++;
      for (const reason of verdict.reasons) terminal.error(reason);
    }
  }
  if (failed > 0) throw failure(`${failed} of ${paths.length} files failed the check`);
}
