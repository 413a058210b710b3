// SPDX-License-Identifier: Apache-2.0

/** The smoke test of the VM gateway's clean-up: nothing of a sandbox outlives its gateway, however that ends. */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoMessages } from '../../cargo/messages.ts';
import { refuseMissing } from '../../cargo/named-programs.ts';
import { readCargoSettings, targetDirectoryOf } from '../../cargo/settings.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/unknowns.ts';
import { failure, usageError } from '../../errors.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import { thisHost } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { dayOf } from '../plan.ts';
import {
  bundleDefects,
  defectsText,
  distrustOf,
  embeddingProblem,
  runtimeDefects,
  verifyEmbedded,
  vmPlatformOf,
} from '../runtime-files.ts';
import { type OrphansConfig, type OrphansFacts, resolveOrphansConfig } from './config.ts';
import { buildCommand, type PreparedOrphans, type Programs, SCENARIOS, scenarioPlaces, signCommands } from './plan.ts';
import { orphansDryRunLines, verdictLines } from './report.ts';
import { runScenario } from './scenario.ts';

/**
 * Runs both scenarios, or prints the plan.
 * @throws TaskError: 2 before anything is started, cargo's status, or 1 where a scenario fails
 */
export async function smokeOrphanCleanup(ctx: RunnerContext, isDryRun: boolean, facts?: OrphansFacts): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveOrphansConfig(env, root, startDirectory, facts ?? { host: thisHost() });
  const prepared = await prepareOrphans(ctx, config);
  if (isDryRun) return terminal.result(...orphansDryRunLines(ctx.runner, prepared, env));
  const programs = await buildPrograms(ctx, prepared);
  for (const command of signCommands(config, programs)) await ctx.runner.run(command);
  const temporary = mkdtempSync(join(config.temporary, 'openshell-vm-orphan-'));
  let isPassed = false;
  try {
    isPassed = await runAll(ctx, config, programs, temporary);
  } finally {
    if (isPassed) rmSync(temporary, { recursive: true, force: true });
    else terminal.say(`the logs are in ${temporary}`);
  }
  if (!isPassed) throw failure(`something outlives the gateway, or a scenario could not be run; see ${temporary}`);
}

async function runAll(ctx: RunnerContext, config: OrphansConfig, programs: Programs, temporary: string) {
  const passed: boolean[] = [];
  for (const scenario of SCENARIOS) {
    const places = scenarioPlaces(temporary, scenario);
    const run = () => runScenario(ctx, config, programs, scenario, places);
    const verdict = await ctx.terminal.section(scenario.label, run);
    ctx.terminal.result(...verdictLines(scenario, verdict));
    passed.push(verdict.isPassed);
  }
  const isPassed = !passed.includes(false);
  ctx.terminal.result(isPassed ? 'ALL SCENARIOS PASSED' : 'ONE OR MORE SCENARIOS FAILED');
  return isPassed;
}

/**
 * Looks for the programs, the runtime and free ports.
 * @throws usageError where something is missing
 */
async function prepareOrphans(ctx: RunnerContext, config: OrphansConfig): Promise<PreparedOrphans> {
  const { root, runtime } = config;
  verifyRuntime(ctx, config);
  const cli = join(root, 'scripts/bin/openshell');
  if (!isExecutable(cli)) throw usageError(`${cli} is not an executable program; get it back from the repository`);
  for (const port of [config.port, config.healthPort]) await verifyPortFree('127.0.0.1', port);
  const directory = await outputDirectory(ctx, config);
  const gateway = join(directory, COMPONENTS.gateway.binary);
  const programs = { gateway, driverDirectory: directory };
  if ([gateway, join(directory, DRIVER.binary)].every(isExecutable)) {
    sayExisting(ctx, programs);
    const problem = embeddingProblem(join(directory, DRIVER.binary), runtime, vmPlatformOf(config.host));
    if (problem !== undefined) ctx.terminal.warn(problem);
    return { config, programs, build: undefined };
  }
  const toolchain = await findToolchain(ctx, root, false);
  refuseMissing(toolchain.missingPrograms);
  return { config, programs, build: buildCommand(config, [COMPONENTS.gateway, DRIVER], toolchain.env) };
}

/** @throws usageError for a runtime or a bundle that cannot be used; a dry run takes note of it */
function verifyRuntime(ctx: RunnerContext, { host, runtime }: OrphansConfig): void {
  const platform = vmPlatformOf(host);
  const defects = runtimeDefects(runtime, platform);
  const bundle = bundleDefects(runtime, platform);
  if (defects.length > 0) {
    const text = `the VM runtime in ${runtime} is not complete: ${defectsText(defects)}; run: mise run vm:setup`;
    refuseOrNote(ctx.unknowns, usageError(text));
  }
  if (bundle.length > 0) {
    const text = `the supervisor in ${runtime} cannot be used: ${defectsText(bundle)}; run: mise run vm:supervisor`;
    refuseOrNote(ctx.unknowns, usageError(text));
  }
  const distrust = defects.length === 0 ? distrustOf(runtime, platform) : undefined;
  if (distrust !== undefined) ctx.terminal.warn(distrust);
}

/** Where cargo puts what it builds by default, by its variables and files. */
async function outputDirectory({ runner }: RunnerContext, { root, targetDirectory }: OrphansConfig): Promise<string> {
  const settings = await readCargoSettings(root, runner.environmentOf(cmd({ cwd: root, asInvoker: true })`cargo`));
  // With several targets it is up to cargo, and the programs are built.
  const target = settings.targets.length === 1 ? (settings.targets[0] ?? '') : '';
  return join(targetDirectoryOf(root, targetDirectory, settings), target, 'debug');
}

/** What is there is tested as it is. */
function sayExisting({ terminal }: RunnerContext, { driverDirectory, gateway }: Programs): void {
  const driver = join(driverDirectory, DRIVER.binary);
  const dates = [gateway, driver].map((path) => `${path} of ${dayOf(statSync(path).mtime)}`);
  terminal.say(`testing ${dates.join(' and ')}; remove them to have them built`);
}

/** @throws failure where cargo leaves no program */
async function buildPrograms(ctx: RunnerContext, { build, config, programs }: PreparedOrphans): Promise<Programs> {
  if (build === undefined) return programs;
  const report = await ctx.terminal.section('cargo', async () => readCargoMessages(await ctx.runner.cargo(build)));
  const [gateway, driver] = [COMPONENTS.gateway, DRIVER].map(({ binary }) => {
    const path = report.executablesOf(binary).at(-1);
    if (path === undefined) throw failure(`cargo has ended, and has left no ${binary}; look at what it says`);
    return path;
  }) as [string, string];
  verifyEmbedded(driver, config.runtime, vmPlatformOf(config.host));
  return { gateway, driverDirectory: dirname(driver) };
}
