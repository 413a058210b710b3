// SPDX-License-Identifier: Apache-2.0

/** Printing the verdicts over several binaries: every file is inspected, and one that fails fails the task. */

import type { Terminal } from '../cli/terminal.ts';
import { failure, oneLine } from '../errors.ts';
import type { Verdict } from './verify.ts';

/**
 * Prints a verdict for each file, results on stdout and reasons on stderr.
 *
 * @param judge the verdict of a file, and the line that says that it passed
 * @throws TaskError (1) naming how many failed
 */
export function reportVerdicts(
  terminal: Terminal,
  binaries: readonly string[],
  judge: (binary: string) => { verdict: Verdict; passed: string },
): void {
  let failed = 0;
  for (const binary of binaries) {
    terminal.result(`==> Inspecting ${oneLine(binary)}`);
    const { verdict, passed } = judge(binary);
    if (verdict.ok) terminal.result(passed);
    else failed++;
    for (const reason of verdict.ok ? [] : verdict.reasons) terminal.error(reason);
  }
  if (failed > 0) throw failure(`${failed} of ${binaries.length} binaries failed the check`);
}
