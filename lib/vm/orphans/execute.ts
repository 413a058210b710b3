// SPDX-License-Identifier: Apache-2.0

/** The smoke test of the VM gateway's clean-up: nothing of a sandbox outlives its gateway, however that ends. */

import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoMessages } from '../../cargo/metadata.ts';
import { refuseMissing } from '../../cargo/settings.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/dry-run-marks.ts';
import { failure, usageError } from '../../errors.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import type { Command } from '../../process/command.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import {
  bundleDefects,
  defectsText,
  distrustOf,
  runtimeDefects,
  verifyEmbedded,
  vmPlatformOf,
} from '../runtime-files.ts';
import {
  buildCommand,
  type OrphansConfig,
  orphansDryRunLines,
  type Programs,
  planScenarios,
  resolveOrphansConfig,
  signCommands,
} from './plan.ts';
import { runScenario } from './scenario.ts';

/**
 * Runs both scenarios, or prints the plan.
 * @param changes another machine, and shorter times
 * @throws TaskError: 2 before anything is started, cargo's status, or 1 where a scenario fails
 */
export async function smokeOrphanCleanup(
  ctx: RunnerContext,
  isDryRun: boolean,
  changes: Partial<OrphansConfig> = {},
): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = { ...resolveOrphansConfig(env, root, startDirectory), ...changes };
  verifyRuntime(ctx, config);
  for (const port of [config.port, config.port + 1]) await verifyPortFree('127.0.0.1', port);
  const toolchain = await findToolchain(ctx, root, false);
  refuseMissing(toolchain.missingPrograms);
  const build = buildCommand(config, toolchain.env);
  if (isDryRun) return terminal.result(...orphansDryRunLines(runner, config, build, env));
  const programs = await buildPrograms(ctx, config, build);
  for (const command of signCommands(config, programs)) await runner.run(command);
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

/** @throws usageError for a runtime that cannot be used; a dry run takes note of it */
function verifyRuntime({ terminal, unknowns }: RunnerContext, { host, runtime }: OrphansConfig): void {
  const platform = vmPlatformOf(host);
  const defects = [...runtimeDefects(runtime, platform), ...bundleDefects(runtime, platform)];
  if (defects.length > 0) {
    const text = `the VM runtime ${runtime} cannot be used: ${defectsText(defects)}`;
    refuseOrNote(unknowns, usageError(`${text}; run: mise run vm:setup && mise run vm:supervisor`));
    return;
  }
  const distrust = distrustOf(runtime, platform);
  if (distrust !== undefined) terminal.warn(distrust);
}

/** @throws failure where cargo leaves no program, or a driver without the runtime */
async function buildPrograms(
  { runner, terminal }: RunnerContext,
  { host, runtime }: OrphansConfig,
  build: Command,
): Promise<Programs> {
  const report = await terminal.section('cargo', async () => readCargoMessages(await runner.cargo(build)));
  const [gateway, driver] = [COMPONENTS.gateway.binary, DRIVER.binary].map((binary) => {
    const path = report.executablesOf(binary).at(-1);
    if (path === undefined) throw failure(`cargo has ended, and has left no ${binary}; look at what it says`);
    return path;
  }) as [string, string];
  verifyEmbedded(driver, runtime, vmPlatformOf(host));
  return { gateway, driverDirectory: dirname(driver) };
}
