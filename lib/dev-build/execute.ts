// SPDX-License-Identifier: Apache-2.0

/** Building what is used on this machine: its tools, cargo's runs, and the verification of what they built. */

import type { Runner, RunnerContext } from '../build-env.ts';
import { findToolchain, installTargets, type Toolchain } from '../cargo/find-toolchain.ts';
import { featuresByComponent, readCargoMessages, readWorkspace } from '../cargo/metadata.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { type Binary, COMPILED_IN, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import type { KnownTools } from '../stage/execute.ts';
import type { DevBuildPlan } from './plan.ts';
import { type DevBuild, verifyDevBuild } from './verify-built.ts';

const CLOSED = Object.fromEntries(COMPILED_IN.map((name) => [name, undefined]));

/** Finds the tool chain. What a publish sets would be compiled in, and is taken from all of its runs. */
export async function closedToolchain(ctx: RunnerContext, root: string): Promise<Toolchain> {
  const toolchain = await findToolchain(ctx, root, false);
  return { ...toolchain, env: { ...toolchain.env, ...CLOSED } };
}

/** Gives each feature to those of the binaries whose packages declare it, in whichever cargo run they are built. */
export async function knownTools(
  { runner }: RunnerContext,
  root: string,
  { features, targetDirectory }: BuildOptions,
  binaries: readonly Binary[],
  toolchain: Toolchain,
): Promise<KnownTools> {
  if (features.length === 0) return { toolchain, features: new Map() };
  const workspace = await readWorkspace(runner, toolchain, root, targetDirectory);
  return { toolchain, workspace, features: featuresByComponent(features, binaries, workspace.packages) };
}

/** The plan as a dry run shows it. */
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
  { runner }: Pick<RunnerContext, 'runner'>,
  { command, config, cross, scripts }: DevBuildPlan,
): Promise<DevBuild> {
  if (cross?.addTarget !== undefined) await installTargets(runner, cross.addTarget);
  for (const { path, text } of scripts) writeWhole(path, text, 0o755);
  const report = readCargoMessages(await runner.cargo(command));
  return verifyDevBuild(config, report, cross && readCargoMessages(await runner.cargo(cross.command)));
}
