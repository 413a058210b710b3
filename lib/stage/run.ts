// SPDX-License-Identifier: Apache-2.0

/** Staging as a task of its own: the plan is printed, or carried out and reported. */

import { findCheckout } from '../checkout.ts';
import { meanwhile } from '../meanwhile.ts';
import { thisHost } from '../platform.ts';
import type { Workbench } from '../task.ts';
import { resolveStageConfig } from './config.ts';
import { prepareStage } from './prepare.ts';
import { dryRunLines, reportLines, type Staged } from './report.ts';

/**
 * Stages what `target` names, or prints the plan.
 *
 * @param target one of `STAGE_TARGETS`
 * @returns what was staged; empty for a dry run
 * @throws TaskError: 2 before anything is built, cargo's own status, or 1 for a binary that fails verification
 */
export async function stage(bench: Workbench, target: string, isDryRun: boolean): Promise<readonly Staged[]> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const config = resolveStageConfig(target, env, root, startDirectory, thisHost());
  const [prepared, { carryOut }] = await Promise.all([
    prepareStage(bench, config),
    meanwhile(() => import('./carry-out.ts')),
  ]);
  if (isDryRun) {
    for (const line of dryRunLines(door, prepared)) terminal.result(line);
    return [];
  }
  const staged = await carryOut(bench, prepared);
  for (const line of reportLines(root, staged, terminal.timings())) terminal.say(line);
  for (const { artefact } of staged) terminal.result(artefact.path);
  return staged;
}
