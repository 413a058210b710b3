// SPDX-License-Identifier: Apache-2.0

/** Judging several binaries: every file is inspected, and one that fails fails the task. */

import type { TaskContext } from '../cli/task.ts';
import { failure, oneLine } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { parseGlibcLimit } from './glibc.ts';
import { inspectGlibc, inspectStatic, type Verdict } from './verify.ts';

type Output = Pick<TaskContext, 'startDirectory' | 'terminal'>;

/**
 * Prints for each file whether it is a complete static executable.
 * @param machine the machine that each has to be for; any machine is good without it
 * @throws TaskError (1) naming how many failed
 */
export function printStaticVerdicts(ctx: Output, binaries: readonly string[], machine: Arch | undefined): void {
  printVerdicts(ctx, binaries, (path) => {
    return { verdict: inspectStatic(path, { machine }), passed: 'statically linked: no PT_INTERP, no DT_NEEDED' };
  });
}

/**
 * Prints for each file whether it needs no newer glibc than a limit.
 * @param limit such as `2.28`
 * @throws usageError for a limit that is not a version, TaskError (1) naming how many failed
 */
export function printGlibcVerdicts(
  ctx: Output,
  binaries: readonly string[],
  limit: string,
  machine: Arch | undefined,
): void {
  const max = parseGlibcLimit(limit);
  printVerdicts(ctx, binaries, (path) => {
    const verdict = inspectGlibc(path, { machine, max });
    return { verdict, passed: `highest GLIBC symbol: ${verdict.facts?.glibc ?? 'none'}` };
  });
}

/** Results on stdout, reasons on stderr. */
function printVerdicts(
  { startDirectory, terminal }: Output,
  binaries: readonly string[],
  judge: (path: string) => { verdict: Verdict; passed: string },
): void {
  let failed = 0;
  for (const binary of binaries) {
    terminal.result(`==> Inspecting ${oneLine(binary)}`);
    const { verdict, passed } = judge(absolutePath(startDirectory, binary));
    if (verdict.ok) terminal.result(passed);
    else failed++;
    for (const reason of verdict.ok ? [] : verdict.reasons) terminal.error(reason);
  }
  if (failed > 0) throw failure(`${failed} of ${binaries.length} binaries failed the check`);
}
