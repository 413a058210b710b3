// SPDX-License-Identifier: Apache-2.0

/** The bundle as a task of its own. */

import { findCheckout } from '../checkout.ts';
import { meanwhile } from '../meanwhile.ts';
import { thisHost } from '../platform.ts';
import type { Workbench } from '../task.ts';
import { resolveBundleConfig } from './bundle-config.ts';
import { bundleDryRunLines, bundleReportLine } from './bundle-plan.ts';
import { prepareBundle } from './prepare.ts';

/**
 * Brings the bundle up to date, or prints the plan.
 *
 * @param archFlag the value of `--arch`
 * @throws TaskError: 2 before anything is built, cargo's own status, or 1 for a binary that fails verification
 */
export async function bundle(bench: Workbench, archFlag: string | undefined, isDryRun: boolean): Promise<void> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const config = resolveBundleConfig(env, root, startDirectory, thisHost(), archFlag);
  const [prepared, { carryOutBundle }] = await Promise.all([
    prepareBundle(bench, config),
    meanwhile(() => import('./bundle.ts')),
  ]);
  if (isDryRun) {
    for (const line of bundleDryRunLines(door, prepared)) terminal.result(line);
    return;
  }
  const result = await carryOutBundle(bench, prepared);
  terminal.say(bundleReportLine(root, result));
  const timings = terminal.timings();
  if (timings !== '') terminal.say(`done: ${timings}`);
  terminal.result(result.path);
}
