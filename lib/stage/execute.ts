// SPDX-License-Identifier: Apache-2.0

/** Staging as a task of its own: the plan is printed, or carried out and reported. */
/** From what is to be staged to the plan: the tools are asked, and nothing else is started. */
/** From the plan to staged files: cargo runs, what it made is verified, and then put in place. */

import { join } from 'node:path';
import type { Door } from '../build-env.ts';
import { featuresByComponent } from '../cargo/features.ts';
import { readCargoMessages } from '../cargo/messages.ts';
import { addTargets, installTargets, missingTargets } from '../cargo/targets.ts';
import { findToolchain, type Toolchain } from '../cargo/toolchain.ts';
import { makeOverlay, planOverlay } from '../cargo/version-overlay.ts';
import { writeZigWrapper } from '../cargo/zig-cc.ts';
import { findCheckout } from '../checkout.ts';
import type { Workbench } from '../cli/task.ts';
import type { Terminal } from '../cli/terminal.ts';
import { holderText, waitForLock } from '../fs/lock.ts';
import { thisHost } from '../host.ts';
import { meanwhile } from '../meanwhile.ts';
import { COMPONENTS } from '../product.ts';
import { resolveStageConfig, STAGE_VARIABLES, type StageConfig } from './config.ts';
import { type CargoRun, type PreparedStage, planStage, type StagePlan, triplesOf } from './plan.ts';
import { type Built, dryRunLines, reportLines, type Staged } from './report.ts';

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
    meanwhile(() => import('./execute.ts')),
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

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where this machine and its tools cannot build what was asked for
 */
export async function prepareStage(bench: Workbench, config: StageConfig): Promise<PreparedStage> {
  const { door, env, startDirectory } = bench;
  const needsZig = config.components.includes(COMPONENTS.gateway);
  const toolchain = await findToolchain(door, env, config.root, startDirectory, needsZig);
  const plan = await makePlan(door, config, toolchain);
  return { plan, toolchain, missing: await missingTargets(door, toolchain, config.root, triplesOf(plan)) };
}

/** Cargo is asked about the workspace only where the plan depends on the answer. */
async function makePlan(door: Door, config: StageConfig, toolchain: Toolchain): Promise<StagePlan> {
  if (config.features.length === 0 && config.version === undefined) {
    return planStage(config, toolchain, new Map(), undefined);
  }
  const env = config.targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: config.targetDirectory };
  const { readWorkspace } = await import('../cargo/metadata.ts');
  const workspace = await readWorkspace(door, toolchain, config.root, env);
  return planStage(
    config,
    toolchain,
    featuresByComponent(STAGE_VARIABLES.features, config.features, config.components, workspace.packages),
    config.version === undefined ? undefined : planOverlay(config.root, workspace.targetDirectory, config.version),
  );
}

/**
 * Carries a plan out, one staging at a time in a checkout.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOut(bench: Workbench, prepared: PreparedStage): Promise<Staged[]> {
  const { signals, terminal } = bench;
  const { plan } = prepared;
  const lockPath = join(plan.config.root, 'deploy/docker/.build/.stage.lock');
  const task = `stage ${plan.config.components.map(({ name }) => name).join(' ')}`;
  const lock = await waitForLock(lockPath, task, signals, (holder) =>
    terminal.say(`waiting for another staging in this checkout: ${holderText(holder)}`),
  );
  try {
    // Everything is built and verified before anything is staged: `all` never leaves one new and one old.
    const built = await buildAll(bench, prepared);
    const { putInPlace } = await import('./artifacts.ts');
    return await terminal.section('staging', async () => built.map(putInPlace));
  } finally {
    await lock.release();
  }
}

/**
 * Builds and verifies what a plan names, and stages nothing.
 *
 * @throws TaskError: cargo's own status, 1 for a binary that fails verification, `MissingTool` for a Rust target
 */
export async function buildAll(bench: Workbench, { plan, toolchain, missing }: PreparedStage): Promise<Built[]> {
  const { door, terminal } = bench;
  if (missing.length > 0) {
    const add = addTargets(toolchain, plan.config.root, missing);
    await terminal.section('Rust targets', () => installTargets(door, add));
  }
  if (plan.overlay !== undefined) await makeOverlay(plan.overlay);
  const built: Built[] = [];
  for (const run of plan.runs) built.push(...(await build(bench, plan, run)));
  return built;
}

/** One cargo run, and the verification of what it made. */
async function build(bench: Workbench, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  const { door, terminal } = bench;
  const targets = run.artefacts.map(({ arch, triple }) => `linux/${arch} (${triple})`).join(', ');
  const heading = `${run.component.binary} for ${targets}`;
  return terminal.section(run.component.name, () => buildAndVerify(door, terminal, plan, run), heading);
}

async function buildAndVerify(door: Door, terminal: Terminal, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  await prepare(plan.config, run, terminal);
  const [stdout, { verifyMade }] = await Promise.all([
    door.cargo(run.command),
    meanwhile(() => import('./artifacts.ts')),
  ]);
  return verifyMade(run, readCargoMessages(stdout));
}

async function prepare(config: StageConfig, run: CargoRun, terminal: Terminal): Promise<void> {
  for (const wrapper of run.wrappers) writeZigWrapper(wrapper);
  if (run.wrappers.length === 0) return;
  const { removeStaleCmakeCaches } = await import('../cargo/cmake-cache.ts');
  for (const { triple } of run.artefacts) {
    const target = config.targetDirectory ?? join(config.root, 'target');
    for (const folder of removeStaleCmakeCaches(target, triple)) terminal.say(`removed a stale cmake cache: ${folder}`);
  }
}
