// SPDX-License-Identifier: Apache-2.0

/** The smoke test of the VM gateway's clean-up: nothing of a sandbox outlives its gateway, however that ends. */

import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoMessages } from '../../cargo/messages.ts';
import { refuseMissing } from '../../cargo/named-programs.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/unknowns.ts';
import { failure, usageError } from '../../errors.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import type { Command } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { verifyEmbedded } from '../embedded.ts';
import { PINS_PATH } from '../runtime/config.ts';
import { digestsOf } from '../runtime/record.ts';
import { judgeRuntime } from '../runtime/trust.ts';
import { BUNDLE_FILE, bundleDefects, defectsText, runtimeDefects, vmPlatformOf } from '../runtime-files.ts';
import { type OrphansConfig, resolveOrphansConfig } from './config.ts';
import { buildCommand, type Programs, planScenarios, signCommands } from './plan.ts';
import { orphansDryRunLines } from './report.ts';
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
  const wanted = judgedFiles(ctx, config);
  const build = await prepareBuild(ctx, config);
  if (isDryRun) return terminal.result(...orphansDryRunLines(runner, config, build, env));
  const programs = await buildPrograms(ctx, config, build, wanted);
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

/** The SHA-256 of each file that the driver has to have in it; none where a dry run has nothing to look at. */
function judgedFiles(ctx: RunnerContext, { host, runtime }: OrphansConfig): Readonly<Record<string, string>> {
  const platform = vmPlatformOf(host);
  const defects = [...runtimeDefects(runtime, platform), ...bundleDefects(runtime, platform)];
  if (defects.length > 0) {
    const remedy = 'run: mise run vm:setup && mise run vm:supervisor';
    refuseOrNote(
      ctx.unknowns,
      usageError(`the VM runtime ${runtime} cannot be used: ${defectsText(defects)}; ${remedy}`),
    );
    return {};
  }
  const { distrust, files } = judgeRuntime(ctx, { directory: runtime, platform, release: { pinsPath: PINS_PATH } });
  if (distrust !== undefined) ctx.terminal.warn(distrust);
  return { ...files, ...digestsOf(runtime, [BUNDLE_FILE]) };
}

/**
 * Looks for the CLI, free ports and cargo.
 * @throws usageError where something is missing
 */
async function prepareBuild(ctx: RunnerContext, config: OrphansConfig): Promise<Command> {
  const cli = join(config.root, 'scripts/bin/openshell');
  if (!isExecutable(cli)) throw usageError(`${cli} is not an executable program; get it back from the repository`);
  for (const port of [config.port, config.port + 1]) await verifyPortFree('127.0.0.1', port);
  const { env, missingPrograms } = await findToolchain(ctx, config.root, false);
  refuseMissing(missingPrograms);
  return buildCommand(config, env);
}

/** @throws failure where cargo leaves no program, or a driver without the runtime */
async function buildPrograms(
  { runner, terminal }: RunnerContext,
  { runtime }: OrphansConfig,
  build: Command,
  wanted: Readonly<Record<string, string>>,
): Promise<Programs> {
  const report = await terminal.section('cargo', async () => readCargoMessages(await runner.cargo(build)));
  const pathOf = (binary: string) => {
    const path = report.executablesOf(binary).at(-1);
    if (path === undefined) throw failure(`cargo has ended, and has left no ${binary}; look at what it says`);
    return path;
  };
  const [gateway, driver] = [pathOf(COMPONENTS.gateway.binary), pathOf(DRIVER.binary)];
  verifyEmbedded(driver, runtime, wanted);
  return { gateway, driverDirectory: dirname(driver) };
}
