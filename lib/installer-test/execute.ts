// SPDX-License-Identifier: Apache-2.0

/** Trying the functions of install.sh in each shell: all cases run, and all that fail are told. */

import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { failure, oneLine, usageError } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { findProgram } from '../process/which.ts';
import { PRODUCT } from '../product.ts';
import { CASES, caseCommand, faultOf, readsVariable, SHELLS, TEST_VARIABLE } from './plan.ts';

/**
 * Tries the cases, or prints their commands.
 * @param timeoutMs for each case, which takes milliseconds
 * @throws failure where one fails, or install.sh has no functions to test; usageError without a checkout or a shell
 */
export async function testInstaller(ctx: RunnerContext, isDryRun: boolean, timeoutMs = 20_000): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const path = join(root, PRODUCT.installer);
  // One that does not read the variable would install, for real.
  if (!readsVariable(contentOf(path).toString()))
    throw failure(`${path} does not read ${TEST_VARIABLE}, so sourcing it would install; add that to it`);
  const present = SHELLS.filter(([program]) => findProgram(program, env) !== undefined);
  // A busybox may be built without a shell.
  const probes = present.map(async (shell) => {
    if (shell.length === 1) return shell;
    const result = await runner.probe(cmd({ cwd: root, asInvoker: true })`${shell} -c :`, timeoutMs);
    const tried = `${PRODUCT.installer} is not tried with it`;
    if (!result.ok) terminal.warn(`${shell.join(' ')} does not work (${oneLine(result.reason)}), so ${tried}`);
    return result.ok ? shell : [];
  });
  const shells = (await Promise.all(probes)).filter(({ length }) => length > 0);
  if (shells.length === 0) throw usageError('neither sh, dash, bash nor busybox is on PATH; add the directory of one');
  for (const [program] of SHELLS.filter((shell) => !present.includes(shell))) {
    terminal.warn(`${program} is not on PATH, so ${PRODUCT.installer} is not tried with it; install it to try it`);
  }
  if (isDryRun) {
    const commands = shells.flatMap((shell) => CASES.map((one) => runner.describe(caseCommand(root, shell, one))));
    terminal.result(`cd ${shellQuote(root)}`, ...commands);
    return;
  }
  let failed = 0;
  for (const shell of shells) {
    const tries = CASES.map(async (one) => {
      const fault = faultOf(one, await runner.probe(caseCommand(root, shell, one), timeoutMs));
      return fault === undefined ? [] : [`${shell.join(' ')}: ${one.name}: ${fault}`];
    });
    const faults = (await Promise.all(tries)).flat();
    for (const fault of faults) terminal.error(fault);
    terminal.result(`${shell.join(' ')}: ${CASES.length - faults.length} of ${CASES.length} cases passed`);
    failed += faults.length;
  }
  if (failed > 0) throw failure(`${failed} of ${shells.length * CASES.length} cases failed; correct ${path}`);
}
