// SPDX-License-Identifier: Apache-2.0

/** From the plan to staged files: cargo runs, what it made is verified, and then put in place. */

import { join } from 'node:path';
import type { Door } from '../build-env.ts';
import { readCargoMessages } from '../cargo-messages.ts';
import { holderText, waitForLock } from '../lock.ts';
import { meanwhile } from '../meanwhile.ts';
import { addTargets, installTargets } from '../rust-targets.ts';
import type { Workbench } from '../task.ts';
import type { Terminal } from '../terminal.ts';
import { makeOverlay } from '../version-overlay.ts';
import { writeZigWrapper } from '../zig-wrapper.ts';
import type { StageConfig } from './config.ts';
import type { CargoRun, PreparedStage, StagePlan } from './plan.ts';
import type { Built, Staged } from './report.ts';

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
    const { putInPlace } = await import('./made.ts');
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
  const [stdout, { verifyMade }] = await Promise.all([door.cargo(run.command), meanwhile(() => import('./made.ts'))]);
  return verifyMade(run, readCargoMessages(stdout));
}

async function prepare(config: StageConfig, run: CargoRun, terminal: Terminal): Promise<void> {
  for (const wrapper of run.wrappers) writeZigWrapper(wrapper);
  if (run.wrappers.length === 0) return;
  const { removeStaleCmakeCaches } = await import('../stale-cmake-cache.ts');
  for (const { triple } of run.artefacts) {
    const target = config.targetDirectory ?? join(config.root, 'target');
    for (const folder of removeStaleCmakeCaches(target, triple)) terminal.say(`removed a stale cmake cache: ${folder}`);
  }
}
