// SPDX-License-Identifier: Apache-2.0

/**
 * What a publish was asked for: arguments and environment, checked, as one value. The settings of single
 * builds (`DOCKER_OUTPUT`, `DOCKER_PUSH`, `DOCKER_PLATFORM`, `IMAGE_REGISTRY`, ...) are not read here.
 */

import { join } from 'node:path';
import { booleanOf, type Environment, textOf, wholeNumberOf } from '../environment.ts';
import { shown, usageError } from '../errors.ts';
import { IMAGE_VARIABLES, verifyBuilder, verifyExtra } from '../image/config.ts';
import { splitTags, verifyRegistry, verifyTag } from '../image/reference.ts';
import { absolutePath } from '../paths.ts';
import { type Arch, platformArches } from '../platform.ts';

export const PUBLISH_VARIABLES = {
  registry: 'DOCKER_REGISTRY',
  tag: 'IMAGE_TAG',
  platforms: 'DOCKER_PLATFORMS',
  extraTags: 'EXTRA_DOCKER_TAGS',
  latest: 'TAG_LATEST',
  builder: 'DOCKER_BUILDER',
  epoch: 'SOURCE_DATE_EPOCH',
} as const;

/** Variables of single builds that people may have set, and that a publish does not follow. */
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
  /** The folder of the local build caches, absolute; one folder below it for each image. */
  readonly cacheFolder: string;
  readonly isStaged: boolean;
  readonly isCi: boolean;
  /** Words for both builds. */
  readonly extra: readonly string[];
  /** Variables that are set and have no effect, for people. */
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
  verifyExtra(extra);
  verifyPlain(extra);
  const { epoch, extraTags, latest, platforms, registry, tag } = PUBLISH_VARIABLES;
  const named = verifyRegistry(registry, textOf(env, registry));
  if (named === undefined) {
    throw usageError(`${registry} is not set; set it to the registry and path to publish to, such as ghcr.io/org`);
  }
  const main = verifyTag(tag, textOf(env, tag) ?? 'dev');
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
    builder: verifyBuilder(textOf(env, PUBLISH_VARIABLES.builder)),
    epoch: wholeNumberOf(env, epoch, 0) ?? 0,
    cacheFolder: join(cacheRoot, 'images'),
    isStaged: booleanOf(env, IMAGE_VARIABLES.autoStage, true) && !isCi,
    isCi,
    extra,
    ignored: WITHOUT_EFFECT.filter((name) => textOf(env, name) !== undefined),
  };
}

/** Options of a build that a publish gives itself; given twice, another image would go where nobody looks. */
const OWN_OPTIONS = ['-t', '--tag', '-f', '--file', '--target', '--platform', '--manifest', '--builder', '--timestamp'];

function verifyPlain(extra: readonly string[]): void {
  const word = extra.find((candidate) =>
    OWN_OPTIONS.some((name) => candidate === name || candidate.startsWith(name.startsWith('--') ? `${name}=` : name)),
  );
  if (word === undefined) return;
  throw usageError(
    `${shown(word)} cannot be passed on; a publish decides tags, files, platforms and builder by its variables; ` +
      'see tasks/docker-publish-multiarch.ts --help',
  );
}
