// SPDX-License-Identifier: Apache-2.0

/** `EXTRA_CARGO_FEATURES`: each feature goes to the components that declare it. */

import { shown, usageError } from '../errors.ts';
import type { Binary } from '../product.ts';
import type { Package } from './metadata.ts';

/** The features of a list that blanks or commas separate, each once, in their order. */
export function splitFeatures(text: string | undefined): string[] {
  return [...new Set((text ?? '').split(/[\s,]+/).filter((feature) => feature !== ''))];
}

/** The features of each component, by its name. */
export type Features = ReadonlyMap<string, readonly string[]>;

/**
 * Distributes features over the components of a run.
 * @param packages in a dry run the mark that stands for the features of each component, where it is unknown
 * @throws usageError for a feature that none of the components declares
 */
export function featuresByComponent(
  features: readonly string[],
  components: readonly Binary[],
  packages: readonly Package[] | string,
): Features {
  if (typeof packages === 'string') return new Map(components.map(({ name }) => [name, [packages]]));
  const names = components.map((component) => component.package);
  const unknown = features.find((feature) => !names.some((name) => declares(packages, name, feature)));
  if (unknown !== undefined) {
    const known = packages.filter(({ name }) => names.includes(name)).flatMap((entry) => [...entry.features]);
    throw usageError(
      `EXTRA_CARGO_FEATURES has ${shown(unknown)}, which ${names.join(' and ')} ${names.length > 1 ? 'do' : 'does'} not declare; ` +
        `allowed are ${[...new Set(known)].sort().join(', ') || 'none'}; change it or unset it`,
    );
  }
  const own = (name: string) => features.filter((feature) => declares(packages, name, feature));
  return new Map(components.map((component) => [component.name, own(component.package)]));
}

/** Whether a package can be built with a feature: its own, or `dependency/feature` (also `dependency?/feature`). */
function declares(packages: readonly Package[], name: string, feature: string): boolean {
  const facts = packages.find((entry) => entry.name === name);
  if (facts === undefined) return false;
  const [, dependency, inner] = /^([^/?]+)\??\/(.+)$/.exec(feature) ?? [];
  if (dependency === undefined || inner === undefined) return facts.features.has(feature);
  if (dependency === name) return facts.features.has(inner);
  const other = packages.find((entry) => entry.name === dependency);
  return facts.dependencies.has(dependency) && (other === undefined || other.features.has(inner));
}

/** The features of some of the components, each once. */
export function featuresFor(features: Features, components: readonly Binary[]): string[] {
  return [...new Set(components.flatMap(({ name }) => features.get(name) ?? []))];
}
