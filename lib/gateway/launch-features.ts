// SPDX-License-Identifier: Apache-2.0

/** `EXTRA_CARGO_FEATURES` of a launch: each feature for the binaries whose packages declare it, in whichever run they are built. */

import type { Door } from '../build-env.ts';
import { type Environment, textOf } from '../environment.ts';
import { featuresByComponent, splitFeatures } from '../features.ts';
import type { LaunchBinary } from '../launch-build/config.ts';
import { STAGE_VARIABLES } from '../stage/config.ts';
import type { Toolchain } from '../toolchain.ts';

/** The features of each binary, by its name. */
export type LaunchFeatures = ReadonlyMap<string, readonly string[]>;

/**
 * Distributes the features. Cargo is asked only where there are any.
 *
 * @throws usageError for a feature that none of the binaries declares
 */
export async function launchFeatures(
  door: Door,
  env: Environment,
  root: string,
  toolchain: Toolchain,
  binaries: readonly LaunchBinary[],
): Promise<LaunchFeatures> {
  const features = splitFeatures(textOf(env, STAGE_VARIABLES.features));
  if (features.length === 0) return new Map();
  const { readWorkspace } = await import('../workspace.ts');
  const { packages } = await readWorkspace(door, toolchain, root, {});
  return featuresByComponent(STAGE_VARIABLES.features, features, binaries, packages);
}

/** The features of some of the binaries, each once. */
export function featuresFor(features: LaunchFeatures, binaries: readonly LaunchBinary[]): string[] {
  return [...new Set(binaries.flatMap(({ name }) => features.get(name) ?? []))];
}
