// SPDX-License-Identifier: Apache-2.0

/** Building for a launch: cargo's runs in the dev profile, and the verification of what they built. */

import type { Runner, RunnerContext } from '../build-env.ts';
import { readCargoMessages } from '../cargo/messages.ts';
import { installTargets } from '../cargo/rustup-targets.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { COMPONENTS } from '../product.ts';
import type { DevBuildPlan } from './plan.ts';
import { type DevBuild, verifyDevBuild } from './verify-built.ts';

/** The plan as a dry run shows it: the scripts that are written, then the commands. */
export function devBuildLines(runner: Runner, { command, config, cross, scripts }: DevBuildPlan): string[] {
  const { binary } = COMPONENTS.supervisor;
  const check = config.supervisor === undefined ? [] : [`# checks ${binary}: machine, complete, static`];
  const commands = [cross?.addTarget, command, cross?.command].filter((one) => one !== undefined);
  return [...scripts.map(({ path }) => `# writes ${path}`), ...commands.map((one) => runner.describe(one)), ...check];
}

/**
 * Runs cargo, one run after the other (they share a directory and its lock), and verifies what it built.
 * @throws TaskError: cargo's own status, 1 for a binary that fails verification, `MissingTool` for a Rust target
 */
export async function executeDevBuild(
  { runner, terminal }: Pick<RunnerContext, 'runner' | 'terminal'>,
  plan: DevBuildPlan,
): Promise<DevBuild> {
  const { command, cross, scripts } = plan;
  if (cross?.addTarget !== undefined) await installTargets(runner, cross.addTarget);
  for (const { path, text } of scripts) writeWhole(path, text, 0o755);
  const gateway = readCargoMessages(await runner.cargo(command));
  const supervisor = cross && readCargoMessages(await runner.cargo(cross.command));
  return verifyDevBuild(terminal, plan, { gateway, supervisor });
}
