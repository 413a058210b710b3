// SPDX-License-Identifier: Apache-2.0

/** The smoke test of the VM gateway's clean-up: nothing of a sandbox outlives its gateway, however that ends. */

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoMessages } from '../../cargo/metadata.ts';
import { readCargoSettings, refuseMissing, targetDirectoryOf } from '../../cargo/settings.ts';
import { findCheckout } from '../../checkout.ts';
import { refuseOrNote } from '../../cli/unknowns.ts';
import { failure, usageError } from '../../errors.ts';
import { verifyPortFree } from '../../gateway/port.ts';
import { thisHost } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { isExecutable } from '../../process/which.ts';
import { COMPONENTS, DRIVER } from '../../product.ts';
import { zstdDefect } from '../../zstd/decompress.ts';
import { embeddingProblem, verifyEmbedded } from '../embedded.ts';
import { dayOf } from '../report.ts';
import { PINS_PATH } from '../runtime/config.ts';
import { digestsOf } from '../runtime/record.ts';
import { judgeRuntime } from '../runtime/trust.ts';
import { BUNDLE_FILE, defectsText, runtimeDefects, vmPlatformOf } from '../runtime-files.ts';
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
  const wanted = judgedFiles(ctx, config);
  const cli = join(root, 'scripts/bin/openshell');
  if (!isExecutable(cli)) throw usageError(`${cli} is not an executable program; get it back from the repository`);
  for (const port of [config.port, config.healthPort]) await verifyPortFree('127.0.0.1', port);
  const directory = await outputDirectory(ctx, config);
  const gateway = join(directory, COMPONENTS.gateway.binary);
  const programs = { gateway, driverDirectory: directory };
  if ([gateway, join(directory, DRIVER.binary)].every(isExecutable)) {
    sayExisting(ctx, programs);
    const problem = embeddingProblem(join(directory, DRIVER.binary), runtime, wanted);
    if (problem !== undefined) ctx.terminal.warn(problem);
    return { config, programs, wanted, build: undefined };
  }
  const toolchain = await findToolchain(ctx, root, false);
  refuseMissing(toolchain.missingPrograms);
  return { config, programs, wanted, build: buildCommand(config, [COMPONENTS.gateway, DRIVER], toolchain.env) };
}

/** The SHA-256 of each file that the driver has to have in it; none where a dry run has nothing to look at. */
function judgedFiles(ctx: RunnerContext, { host, runtime }: OrphansConfig): Readonly<Record<string, string>> {
  const platform = vmPlatformOf(host);
  const bundle = join(runtime, BUNDLE_FILE);
  const defects = runtimeDefects(runtime, platform);
  const defect = zstdDefect(bundle);
  if (defects.length > 0) {
    const text = `the VM runtime in ${runtime} is not complete: ${defectsText(defects)}; run: mise run vm:setup`;
    refuseOrNote(ctx.unknowns, usageError(text));
  }
  if (defect !== undefined) {
    refuseOrNote(ctx.unknowns, usageError(`${bundle} cannot be used (${defect}); run: mise run vm:supervisor`));
  }
  if (defects.length > 0 || defect !== undefined) return {};
  const { distrust, files } = judgeRuntime(ctx, { directory: runtime, platform, release: { pinsPath: PINS_PATH } });
  if (distrust !== undefined) ctx.terminal.warn(distrust);
  return { ...files, ...digestsOf(runtime, [BUNDLE_FILE]) };
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
async function buildPrograms(
  ctx: RunnerContext,
  { build, config, programs, wanted }: PreparedOrphans,
): Promise<Programs> {
  if (build === undefined) return programs;
  const report = await ctx.terminal.section('cargo', async () => readCargoMessages(await ctx.runner.cargo(build)));
  const [gateway, driver] = [COMPONENTS.gateway, DRIVER].map(({ binary }) => {
    const path = report.executablesOf(binary).at(-1);
    if (path === undefined) throw failure(`cargo has ended, and has left no ${binary}; look at what it says`);
    return path;
  }) as [string, string];
  verifyEmbedded(driver, config.runtime, wanted);
  return { gateway, driverDirectory: dirname(driver) };
}
