// SPDX-License-Identifier: Apache-2.0

/** Verifying several binaries: every file is inspected, and one that fails fails the task. */

import type { Terminal } from '../cli/terminal.ts';
import { failure } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { BinaryFacts, Verdict } from './verify.ts';

/**
 * Prints a result for each file on stdout, and the reasons against it on stderr.
 * @param binaries paths as the user gave them
 * @param passed the result for a file that passes
 * @throws TaskError (1) that says how many failed
 */
export function printVerdicts(
  { startDirectory, terminal }: { startDirectory: string; terminal: Terminal },
  binaries: readonly string[],
  inspect: (path: string) => Verdict,
  passed: (facts: BinaryFacts) => string,
): void {
  let failed = 0;
  for (const binary of binaries) {
    terminal.result(`==> Inspecting ${binary}`);
    const verdict = inspect(absolutePath(startDirectory, binary));
    if (verdict.ok) {
      terminal.result(passed(verdict.facts));
    } else {
      failed++;
      for (const reason of verdict.reasons) terminal.error(reason);
    }
  }
  if (failed > 0) throw failure(`${failed} of ${binaries.length} binaries failed the check`);
}
