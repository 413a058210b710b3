// SPDX-License-Identifier: Apache-2.0

/** Building for a launch: one cargo run in the dev profile, and the verification of what it built. */

import type { Runner, RunnerContext } from '../build-env.ts';
import { readCargoMessages } from '../cargo/messages.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { COMPONENTS } from '../product.ts';
import { type DevBuild, verifyBuilt } from './artifacts.ts';
import type { DevBuildPlan } from './plan.ts';

/** The plan as a dry run shows it: the scripts that are written, then the command. */
export function devBuildLines(runner: Runner, plan: DevBuildPlan): string[] {
  const check = plan.config.withSupervisor
    ? [`# checks ${COMPONENTS.supervisor.binary}: machine, complete, static`]
    : [];
  return [...plan.scripts.map(({ path }) => `# writes ${path}`), runner.describe(plan.command), ...check];
}

/**
 * Runs cargo once and verifies what it built.
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function executeDevBuild(
  { runner, terminal }: Pick<RunnerContext, 'runner' | 'terminal'>,
  plan: DevBuildPlan,
): Promise<DevBuild> {
  for (const { path, text } of plan.scripts) writeWhole(path, text, 0o755);
  const stdout = await runner.cargo(plan.command);
  return verifyBuilt(terminal, plan, readCargoMessages(stdout));
}
