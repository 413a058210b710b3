// SPDX-License-Identifier: Apache-2.0

/**
 * Building for a launch: asks what the plan needs to know, executes it, and verifies what cargo made.
 *
 *     const config = resolveLaunchBuildConfig(env, root, startDirectory, host, { withSupervisor: true });
 *     const lack = await whyNoStaticLibc(runner, env, config);       // a reason: take the staged supervisor
 *     const plan = await prepareLaunchBuild(ctx, config, toolchain);
 *     const built = await buildForLaunch(ctx, plan);             // a dry run: launchBuildLines(runner, plan)
 *     await installSupervisor(built.supervisor, path);
 */

import type { Runner } from '../build-env.ts';
import { cargoSettings, readConfigFiles } from '../cargo/config-files.ts';
import { featuresByComponent } from '../cargo/features.ts';
import { readCargoMessages } from '../cargo/messages.ts';
import type { Toolchain } from '../cargo/toolchain.ts';
import type { TaskContext } from '../cli/task.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { meanwhile } from '../meanwhile.ts';
import { command } from '../process/command.ts';
import { COMPONENTS } from '../product.ts';
import type { LaunchBuild } from './artifacts.ts';
import { binariesOf, LAUNCH_BUILD_VARIABLES, type LaunchBuildConfig } from './config.ts';
import { type LaunchBuildPlan, planLaunchBuild } from './plan.ts';

/**
 * Asks what the plan depends on (cargo's configuration; the workspace only where features are wanted), and plans.
 *
 * @throws usageError for a feature that no binary of this run declares, or a target that this machine cannot run
 */
export async function prepareLaunchBuild(
  ctx: Pick<TaskContext, 'runner' | 'env'>,
  config: LaunchBuildConfig,
  toolchain: Toolchain,
): Promise<LaunchBuildPlan> {
  const { runner } = ctx;
  // Mise may set a compiler wrapper of its own for what runs through it.
  const env = runner.environmentOf(command([...toolchain.prefix, 'cargo'], { cwd: config.root }));
  const settings = cargoSettings(readConfigFiles(config.root, env), env, config.root);
  return planLaunchBuild(config, toolchain, await featuresOf(runner, config, toolchain), settings);
}

async function featuresOf(runner: Runner, config: LaunchBuildConfig, toolchain: Toolchain) {
  if (config.features.length === 0) return new Map<string, string[]>();
  const { readWorkspace } = await import('../cargo/metadata.ts');
  const { packages } = await readWorkspace(runner, toolchain, config.root, {});
  return featuresByComponent(LAUNCH_BUILD_VARIABLES.features, config.features, binariesOf(config), packages);
}

/** The plan as a dry run shows it: the scripts that are written, then the command. */
export function launchBuildLines(runner: Runner, plan: LaunchBuildPlan): string[] {
  const check = plan.config.withSupervisor
    ? [`# checks ${COMPONENTS.supervisor.binary}: machine, complete, static`]
    : [];
  return [...plan.scripts.map(({ path }) => `# writes ${path}`), runner.describe(plan.command), ...check];
}

/**
 * Runs cargo once and verifies what it made.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function buildForLaunch(
  ctx: Pick<TaskContext, 'runner' | 'terminal'>,
  plan: LaunchBuildPlan,
): Promise<LaunchBuild> {
  for (const { path, text } of plan.scripts) writeWhole(path, text, 0o755);
  const [stdout, { verifyBuilt }] = await Promise.all([
    ctx.runner.cargo(plan.command),
    meanwhile(() => import('./artifacts.ts')),
  ]);
  return verifyBuilt(ctx.terminal, plan, readCargoMessages(stdout));
}
