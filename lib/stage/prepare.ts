// SPDX-License-Identifier: Apache-2.0

/** From what is to be staged to the plan: the tools are asked, and nothing else is started. */

import type { Door } from '../build-env.ts';
import { featuresByComponent } from '../features.ts';
import { COMPONENTS } from '../product.ts';
import { missingTargets } from '../rust-targets.ts';
import type { Workbench } from '../task.ts';
import { findToolchain, type Toolchain } from '../toolchain.ts';
import { planOverlay } from '../version-overlay.ts';
import { STAGE_VARIABLES, type StageConfig } from './config.ts';
import { type PreparedStage, planStage, type StagePlan, triplesOf } from './plan.ts';

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
  const { readWorkspace } = await import('../workspace.ts');
  const workspace = await readWorkspace(door, toolchain, config.root, env);
  return planStage(
    config,
    toolchain,
    featuresByComponent(STAGE_VARIABLES.features, config.features, config.components, workspace.packages),
    config.version === undefined ? undefined : planOverlay(config.root, workspace.targetDirectory, config.version),
  );
}
