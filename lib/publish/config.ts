// SPDX-License-Identifier: Apache-2.0

/**
 * What a publish was asked for: arguments and environment, checked, as one value. The settings of single
 * builds (`DOCKER_OUTPUT`, `DOCKER_PUSH`, `DOCKER_PLATFORM`, `IMAGE_REGISTRY`, ...) are not read here.
 */

import { join } from 'node:path';
import { booleanOf, type Environment, textOf, wholeNumberOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Arch, platformArches } from '../host.ts';
import { type ExtraWords, readExtra } from '../image/build-options.ts';
import { DEFAULT_TAG, IMAGE_VARIABLES, resolveBuilder } from '../image/config.ts';
import { splitTags, verifyRegistry, verifyTag } from '../image/reference.ts';

export const PUBLISH_VARIABLES = {
  registry: 'DOCKER_REGISTRY',
  tag: 'IMAGE_TAG',
  platforms: 'DOCKER_PLATFORMS',
  extraTags: 'EXTRA_DOCKER_TAGS',
  latest: 'TAG_LATEST',
  builder: 'DOCKER_BUILDER',
  epoch: 'SOURCE_DATE_EPOCH',
} as const;

/** Variables of single builds that users may have set, and that a publish does not follow. */
const WITHOUT_EFFECT = [
  IMAGE_VARIABLES.registry,
  IMAGE_VARIABLES.platforms,
  IMAGE_VARIABLES.output,
  IMAGE_VARIABLES.push,
  'PREBUILT_ARCH',
];

export interface PublishConfig {
  readonly root: string;
  readonly registry: string;
  /** The tags that both images get, each once, the main one first. */
  readonly tags: readonly [string, ...string[]];
  readonly arches: readonly Arch[];
  /** The builder that was named. */
  readonly builder: string | undefined;
  /** The time that the images bear, in seconds since 1970. */
  readonly epoch: number;
  /** The directory of the local build caches, absolute; one directory below it for each image. */
  readonly cacheDirectory: string;
  readonly isStaged: boolean;
  readonly isCi: boolean;
  /** Words for both builds. */
  readonly extra: readonly string[];
  /** Variables that are set and have no effect, for users. */
  readonly ignored: readonly string[];
}

/**
 * Resolves the configuration of a publish.
 *
 * @param extra words for the engine's build commands, as they are
 * @throws usageError for any wrong value
 */
export function resolvePublishConfig(
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
): PublishConfig {
  const words = readPlain(extra);
  const { epoch, extraTags, latest, platforms, registry, tag } = PUBLISH_VARIABLES;
  const named = verifyRegistry(registry, textOf(env, registry));
  if (named === undefined) {
    throw usageError(`${registry} is not set; set it to the registry and path to publish to, such as ghcr.io/org`);
  }
  const main = verifyTag(tag, textOf(env, tag) ?? DEFAULT_TAG);
  const more = splitTags(extraTags, textOf(env, extraTags));
  const isLatest = booleanOf(env, latest, false);
  const others = new Set([...more, ...(isLatest ? ['latest'] : [])]);
  others.delete(main);
  const cache = textOf(env, IMAGE_VARIABLES.cache);
  const cacheRoot = cache === undefined ? join(root, '.cache/buildkit') : absolutePath(startDirectory, cache);
  const isCi = booleanOf(env, IMAGE_VARIABLES.ci, false);
  return {
    root,
    registry: named,
    tags: [main, ...others],
    arches: platformArches(platforms, textOf(env, platforms) ?? 'linux/amd64,linux/arm64'),
    builder: resolveBuilder(env, words),
    epoch: wholeNumberOf(env, epoch, 0) ?? 0,
    cacheDirectory: join(cacheRoot, 'images'),
    isStaged: booleanOf(env, IMAGE_VARIABLES.autoStage, true) && !isCi,
    isCi,
    extra: words.rest,
    ignored: WITHOUT_EFFECT.filter((name) => textOf(env, name) !== undefined),
  };
}

/** A publish gives these itself; given again, another image would be published, or where nobody looks. */
function readPlain(extra: readonly string[]): ExtraWords {
  const words = readExtra(extra);
  const own = words.rest.find((word) => /^--(manifest|timestamp|rewrite-timestamp)(=|$)/.test(word));
  const taken = words.tags.length > 0 ? '--tag' : words.target !== undefined ? '--target' : undefined;
  const refused = own ?? taken ?? (words.dockerfile === undefined ? undefined : '--file');
  if (refused === undefined) return words;
  throw usageError(
    `${shown(refused)} cannot be passed on; both images are published from their own Dockerfiles, under the tags of ` +
      `${PUBLISH_VARIABLES.tag} and ${PUBLISH_VARIABLES.extraTags}`,
  );
}
