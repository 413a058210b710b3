// SPDX-License-Identifier: Apache-2.0

/** The smoke test of the VM gateway's clean-up: nothing of a sandbox outlives its gateway, however that ends. */

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoMessages } from '../../cargo/metadata.ts';
import { refuseMissing } from '../../cargo/settings.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/dry-run-marks.ts';
import { failure, usageError } from '../../errors.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import { isExecutable } from '../../process/which.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { defectsText, distrustOf, embeddedDefects, verifyEmbedded, vmPlatformOf } from '../runtime-files.ts';
import {
  buildCommand,
  type OrphansConfig,
  orphansDryRunLines,
  planScenarios,
  resolveOrphansConfig,
  signCommands,
} from './plan.ts';
import { runScenario } from './scenario.ts';

/** Runs both scenarios, or prints the plan. @throws TaskError: 2 before anything is started, cargo's status, or 1 */
export async function smokeOrphanCleanup(
  ctx: RunnerContext,
  isDryRun: boolean,
  changes: Partial<OrphansConfig> = {},
): Promise<void> {
  const { env, runner, startDirectory, terminal, unknowns } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = { ...resolveOrphansConfig(env, root, startDirectory), ...changes };
  const platform = vmPlatformOf(config.host);
  const defects = embeddedDefects(config.runtime, platform);
  if (defects.length > 0) {
    const text = `the VM runtime ${config.runtime} cannot be used: ${defectsText(defects)}`;
    refuseOrNote(unknowns, usageError(`${text}; run: mise run vm:setup && mise run vm:supervisor`));
  }
  const distrust = distrustOf(config.runtime, platform);
  if (distrust !== undefined && defects.length === 0) terminal.warn(distrust);
  const cli = join(root, 'scripts/bin/openshell');
  if (!isExecutable(cli)) {
    refuseOrNote(unknowns, usageError(`${cli} is not an executable program; get it back from the repository`));
  }
  for (const port of [config.port, config.port + 1]) await verifyPortFree('127.0.0.1', port);
  const toolchain = await findToolchain(ctx, root, false);
  refuseMissing(toolchain.missingPrograms);
  const build = buildCommand(config, toolchain.env);
  if (isDryRun) return terminal.result(...orphansDryRunLines(runner, config, build, env));
  const report = await terminal.section('cargo', async () => readCargoMessages(await runner.cargo(build)));
  const pathOf = (binary: string) => {
    const path = report.executablesOf(binary).at(-1);
    if (path === undefined) throw failure(`cargo has ended, and has left no ${binary}; look at what it says`);
    return path;
  };
  const programs = { gateway: pathOf(COMPONENTS.gateway.binary), driver: pathOf(DRIVER.binary) };
  verifyEmbedded(programs.driver, config.runtime, platform);
  for (const command of signCommands(config, programs.driver)) await runner.run(command);
  await runScenarios(ctx, config, programs);
}

/** @throws failure where one has not passed */
async function runScenarios(
  ctx: RunnerContext,
  config: OrphansConfig,
  programs: Parameters<typeof planScenarios>[1],
): Promise<void> {
  const { env, terminal } = ctx;
  const temporary = mkdtempSync(join(config.temporary, 'openshell-vm-orphan-'));
  let isPassed = false;
  try {
    const results: boolean[] = [];
    for (const scenario of planScenarios(config, programs, temporary, env)) {
      results.push(await terminal.section(scenario.label, () => runScenario(ctx, config, scenario)));
    }
    isPassed = !results.includes(false);
    terminal.result(isPassed ? 'ALL SCENARIOS PASSED' : 'ONE OR MORE SCENARIOS FAILED');
  } finally {
    if (isPassed) rmSync(temporary, { recursive: true, force: true });
    else terminal.say(`the logs are in ${temporary}`);
  }
  if (!isPassed) throw failure(`something outlives the gateway, or a scenario could not be run; see ${temporary}`);
}
