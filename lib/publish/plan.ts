// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a publish, pure: a dry run prints it, a run executes it. All is built before anything
 * is pushed under a tag, content is pushed before a tag of the release moves, and tags are set from digests.
 */

import { join } from 'node:path';
import type { EngineName } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { dockerfileOf } from '../image/config.ts';
import { verifyTag } from '../image/reference.ts';
import { COMPONENTS, type Component } from '../product.ts';
import type { BuilderChoice } from './builder.ts';
import { PUBLISH_VARIABLES, type PublishConfig } from './config.ts';
import { publishingOf } from './engines/index.ts';
import type { PublishedImage, PublishedReference, PublishStep } from './engines/types.ts';

/** A reference of the registry that the publish answers for. */
export interface PlannedReference extends PublishedReference {
  readonly component: Component['name'];
}

export interface PublishPlan {
  /** The directory for files that steps write, made for this run. */
  readonly scratch: string;
  readonly builds: readonly PublishStep[];
  /** References of single platforms, which carry content; set before those of the release. */
  readonly platforms: readonly PlannedReference[];
  /** What the tags of a component are set to is put together; only where one has to move. */
  readonly assemblies: readonly Assembly[];
  /** The tags of the release, tag by tag, so that both components have one as soon as possible. */
  readonly tags: readonly PlannedReference[];
}

/** What is put together on this machine for the tags of a component; the first step makes the names. */
export interface Assembly {
  readonly component: Component['name'];
  readonly steps: readonly PublishStep[];
  readonly localNames: readonly string[];
}

/** The components that are published. */
export const PUBLISHED: readonly Component[] = [COMPONENTS.gateway, COMPONENTS.supervisor];

/**
 * Plans a publish.
 *
 * @param run a word that no other run has
 * @param temporary the directory for temporary files
 * @throws usageError where the engine cannot make a tag from the ones that were asked for
 */
export function planPublish(
  config: PublishConfig,
  engine: EngineName,
  builder: BuilderChoice,
  run: string,
  temporary: string,
): PublishPlan {
  const publishing = publishingOf(engine);
  const scratch = join(temporary, `${SCRATCH_PREFIX}${run}`);
  const images = PUBLISHED.map((component) => imageOf(config, component, builder, run, scratch));
  const platforms = images.flatMap((image) =>
    publishing.platformReferences(image).map((reference) => ({ component: image.name, ...reference })),
  );
  verifyPlatformTags(config, platforms);
  return {
    scratch,
    builds: images.flatMap((image) => publishing.build(image)),
    platforms,
    assemblies: images.map((image) => ({
      component: image.name,
      steps: publishing.assemble(image),
      localNames: publishing.localNames(image),
    })),
    tags: config.tags.flatMap((tag) =>
      images.map((image) => ({ component: image.name, ...publishing.tag(image, tag) })),
    ),
  };
}

/** Directories of this kind belong to publishes; `leftovers.ts` removes those of dead ones. */
export const SCRATCH_PREFIX = 'openshell-publish-';

function imageOf(
  config: PublishConfig,
  component: Component,
  builder: BuilderChoice,
  run: string,
  scratch: string,
): PublishedImage & { readonly name: Component['name'] } {
  const cache = join(config.cacheDirectory, component.name);
  return {
    name: component.name,
    repository: `${config.registry}/${component.name}`,
    tag: config.tags[0],
    platforms: config.arches.map((arch) => `linux/${arch}`),
    build: {
      dockerfile: dockerfileOf(component.name),
      target: component.name,
      builder: builder.name,
      caches: hasLocalCache(config, builder)
        ? ['--cache-from', `type=local,src=${cache}`, '--cache-to', `type=local,dest=${cache},mode=max`]
        : [],
      secrets: [],
      extra: config.extra,
    },
    epoch: config.epoch,
    scratch,
    run,
  };
}

/** A container that builds can be removed with its cache; a directory stays. */
export function hasLocalCache(config: PublishConfig, builder: BuilderChoice): boolean {
  return builder.driver === 'docker-container' && !config.isCi;
}

function verifyPlatformTags(config: PublishConfig, platforms: readonly PlannedReference[]): void {
  for (const { reference } of platforms) {
    const tag = reference.slice(reference.lastIndexOf(':') + 1);
    verifyTag(`${PUBLISH_VARIABLES.tag} with its platform`, tag);
    if (!config.tags.includes(tag)) continue;
    throw usageError(
      `${PUBLISH_VARIABLES.extraTags} has ${tag}, which is the tag of one platform's image here; choose another one`,
    );
  }
}
