// SPDX-License-Identifier: Apache-2.0

/** The tools of cargo runs whose binaries are used on this machine. */

import type { RunnerContext } from '../build-env.ts';
import { featuresByComponent } from '../cargo/features.ts';
import { findToolchain, type Toolchain } from '../cargo/find-toolchain.ts';
import { readWorkspace } from '../cargo/metadata.ts';
import { type Binary, COMPILED_IN } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import type { KnownTools } from '../stage/execute.ts';

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
