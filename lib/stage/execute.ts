// SPDX-License-Identifier: Apache-2.0

/** Staging as a task of its own: the plan is printed, or executed and reported. */
/** From what is to be staged to the plan: the tools are asked, and nothing else is started. */
/** From the plan to staged files: cargo runs, what it made is verified, and then put in place. */

import { join } from 'node:path';
import type { Runner } from '../build-env.ts';
import { featuresByComponent } from '../cargo/features.ts';
import { readCargoMessages } from '../cargo/messages.ts';
import { addTargets, installTargets, missingTargets } from '../cargo/targets.ts';
import { findToolchain, type Toolchain } from '../cargo/toolchain.ts';
import { makeOverlay, planOverlay } from '../cargo/version-overlay.ts';
import { writeZigWrapper } from '../cargo/zig-cc.ts';
import { findCheckout } from '../checkout.ts';
import type { TaskContext } from '../cli/task.ts';
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
export async function stage(ctx: TaskContext, target: string, isDryRun: boolean): Promise<readonly Staged[]> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveStageConfig(target, env, root, startDirectory, thisHost());
  const [prepared, { execute }] = await Promise.all([
    prepareStage(ctx, config),
    meanwhile(() => import('./execute.ts')),
  ]);
  if (isDryRun) {
    for (const line of dryRunLines(runner, prepared)) terminal.result(line);
    return [];
  }
  const staged = await execute(ctx, prepared);
  for (const line of reportLines(root, staged, terminal.timings())) terminal.say(line);
  for (const { artifact } of staged) terminal.result(artifact.path);
  return staged;
}

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where this machine and its tools cannot build what was asked for
 */
export async function prepareStage(ctx: TaskContext, config: StageConfig): Promise<PreparedStage> {
  const { runner, env, startDirectory } = ctx;
  const needsZig = config.components.includes(COMPONENTS.gateway);
  const toolchain = await findToolchain(runner, env, config.root, startDirectory, needsZig);
  const plan = await makePlan(runner, config, toolchain);
  return { plan, toolchain, missing: await missingTargets(runner, toolchain, config.root, triplesOf(plan)) };
}

/** Cargo is asked about the workspace only where the plan depends on the answer. */
async function makePlan(runner: Runner, config: StageConfig, toolchain: Toolchain): Promise<StagePlan> {
  if (config.features.length === 0 && config.version === undefined) {
    return planStage(config, toolchain, new Map(), undefined);
  }
  const env = config.targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: config.targetDirectory };
  const { readWorkspace } = await import('../cargo/metadata.ts');
  const workspace = await readWorkspace(runner, toolchain, config.root, env);
  return planStage(
    config,
    toolchain,
    featuresByComponent(STAGE_VARIABLES.features, config.features, config.components, workspace.packages),
    config.version === undefined ? undefined : planOverlay(config.root, workspace.targetDirectory, config.version),
  );
}

/**
 * Executes a plan , one staging at a time in a checkout.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function execute(ctx: TaskContext, prepared: PreparedStage): Promise<Staged[]> {
  const { signals, terminal } = ctx;
  const { plan } = prepared;
  const lockPath = join(plan.config.root, 'deploy/docker/.build/.stage.lock');
  const task = `stage ${plan.config.components.map(({ name }) => name).join(' ')}`;
  const lock = await waitForLock(lockPath, task, signals, (holder) =>
    terminal.say(`waiting for another staging in this checkout: ${holderText(holder)}`),
  );
  try {
    // Everything is built and verified before anything is staged: `all` never leaves one new and one old.
    const built = await buildAll(ctx, prepared);
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
export async function buildAll(ctx: TaskContext, { plan, toolchain, missing }: PreparedStage): Promise<Built[]> {
  const { runner, terminal } = ctx;
  if (missing.length > 0) {
    const add = addTargets(toolchain, plan.config.root, missing);
    await terminal.section('Rust targets', () => installTargets(runner, add));
  }
  if (plan.overlay !== undefined) await makeOverlay(plan.overlay);
  const built: Built[] = [];
  for (const run of plan.runs) built.push(...(await build(ctx, plan, run)));
  return built;
}

/** One cargo run, and the verification of what it made. */
async function build(ctx: TaskContext, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  const { runner, terminal } = ctx;
  const targets = run.artifacts.map(({ arch, triple }) => `linux/${arch} (${triple})`).join(', ');
  const heading = `${run.component.binary} for ${targets}`;
  return terminal.section(run.component.name, () => buildAndVerify(runner, terminal, plan, run), heading);
}

async function buildAndVerify(runner: Runner, terminal: Terminal, plan: StagePlan, run: CargoRun): Promise<Built[]> {
  await prepare(plan.config, run, terminal);
  const [stdout, { verifyBuilt }] = await Promise.all([
    runner.cargo(run.command),
    meanwhile(() => import('./artifacts.ts')),
  ]);
  return verifyBuilt(run, readCargoMessages(stdout));
}

async function prepare(config: StageConfig, run: CargoRun, terminal: Terminal): Promise<void> {
  for (const wrapper of run.wrappers) writeZigWrapper(wrapper);
  if (run.wrappers.length === 0) return;
  const { removeStaleCmakeCaches } = await import('../cargo/cmake-cache.ts');
  for (const { triple } of run.artifacts) {
    const target = config.targetDirectory ?? join(config.root, 'target');
    for (const directory of removeStaleCmakeCaches(target, triple))
      terminal.say(`removed a stale cmake cache: ${directory}`);
  }
}
