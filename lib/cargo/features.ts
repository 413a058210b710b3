// SPDX-License-Identifier: Apache-2.0

/** Extra cargo features, each for the components that declare it. */
/** `EXTRA_CARGO_FEATURES` of a launch: each feature for the binaries whose packages declare it, in whichever run they are built. */

import type { Runner } from '../build-env.ts';
import { type Environment, textOf } from '../cli/env.ts';
import type { LaunchBinary } from '../dev-build/config.ts';
import { shown, usageError } from '../errors.ts';
import { STAGE_VARIABLES } from '../stage/config.ts';
import type { PackageFacts } from './metadata.ts';
import type { Toolchain } from './toolchain.ts';

/** The features of a list that blanks or commas separate, each once, in their order. */
export function splitFeatures(text: string | undefined): string[] {
  return [...new Set((text ?? '').split(/[\s,]+/).filter((feature) => feature !== ''))];
}

/** What can get features: a component, or another package of a run. */
export interface FeatureTaker<N extends string = string> {
  readonly name: N;
  /** The cargo package. */
  readonly package: string;
}

/**
 * Distributes features over the components of a run.
 *
 * @param source the variable that the features come from, for the error
 * @returns for each component's name the features that it gets, in their order
 * @throws usageError for a feature that none of the components declares
 */
export function featuresByComponent<N extends string>(
  source: string,
  features: readonly string[],
  components: readonly FeatureTaker<N>[],
  packages: readonly PackageFacts[],
): Map<N, string[]> {
  const result = new Map<N, string[]>(components.map((component) => [component.name, []]));
  for (const feature of features) {
    const takers = components.filter((component) => declares(packages, component.package, feature));
    if (takers.length === 0) {
      const names = components.map((component) => component.package);
      const known = packages.filter((entry) => names.includes(entry.name)).flatMap((entry) => [...entry.features]);
      throw usageError(
        `${source} has ${shown(feature)}, which ${names.join(' and ')} ${names.length > 1 ? 'do' : 'does'} not declare; ` +
          `allowed are ${[...new Set(known)].sort().join(', ') || 'none'}; change it or unset it`,
      );
    }
    for (const component of takers) result.get(component.name)?.push(feature);
  }
  return result;
}

/** Whether a package can be built with a feature: its own, or `dependency/feature` (also `dependency?/feature`). */
function declares(packages: readonly PackageFacts[], name: string, feature: string): boolean {
  const facts = packages.find((entry) => entry.name === name);
  if (facts === undefined) return false;
  const [, dependency, inner] = /^([^/?]+)\??\/(.+)$/.exec(feature) ?? [];
  if (dependency === undefined || inner === undefined) return facts.features.has(feature);
  if (dependency === name) return facts.features.has(inner);
  const other = packages.find((entry) => entry.name === dependency);
  return facts.dependencies.has(dependency) && (other === undefined || other.features.has(inner));
}

/** The features of each binary, by its name. */
export type LaunchFeatures = ReadonlyMap<string, readonly string[]>;

/**
 * Distributes the features. Cargo is asked only where there are any.
 *
 * @throws usageError for a feature that none of the binaries declares
 */
export async function launchFeatures(
  runner: Runner,
  env: Environment,
  root: string,
  toolchain: Toolchain,
  binaries: readonly LaunchBinary[],
): Promise<LaunchFeatures> {
  const features = splitFeatures(textOf(env, STAGE_VARIABLES.features));
  if (features.length === 0) return new Map();
  const { readWorkspace } = await import('./metadata.ts');
  const { packages } = await readWorkspace(runner, toolchain, root, {});
  return featuresByComponent(STAGE_VARIABLES.features, features, binaries, packages);
}

/** The features of some of the binaries, each once. */
export function featuresFor(features: LaunchFeatures, binaries: readonly LaunchBinary[]): string[] {
  return [...new Set(binaries.flatMap(({ name }) => features.get(name) ?? []))];
}
