// SPDX-License-Identifier: Apache-2.0

/** What a publish was asked for, checked. The settings of single builds (`DOCKER_OUTPUT`, ...) do not count here. */

import { type Environment, readVariable } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { platformArches } from '../host.ts';
import { isStaged, readOptions, resolveBuilder, resolveCacheDirectory } from '../image/config.ts';
import { verifyRegistry, verifyTag } from '../image/reference.ts';
import { resolveBuildOptions } from '../stage/config.ts';

/** Options that a publish gives itself; given again, another image would be published, or to another place. */
const OWN_OPTIONS =
  /^(--(push|load|output|metadata-file|iidfile|platform|tag|target|file|manifest|timestamp|rewrite-timestamp)(=|$)|-[otf])/;

export type PublishConfig = ReturnType<typeof resolvePublishConfig>;

/** @param extra the user's options for the engine's build commands @throws usageError for any wrong value */
export function resolvePublishConfig(extra: readonly string[], env: Environment, root: string, startDirectory: string) {
  const own = extra.find((argument) => OWN_OPTIONS.test(argument));
  if (own !== undefined) {
    const why = 'both images are published from their own Dockerfiles, for the platforms of DOCKER_PLATFORMS';
    throw usageError(`${shown(own)} cannot be passed on; ${why}, under the tags of IMAGE_TAG and EXTRA_DOCKER_TAGS`);
  }
  const options = readOptions(extra);
  const registry = verifyRegistry('DOCKER_REGISTRY', readVariable(env, 'DOCKER_REGISTRY'));
  if (registry === undefined) {
    throw usageError('DOCKER_REGISTRY is not set; set it to the registry and path to publish to, such as ghcr.io/org');
  }
  const main = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  const more = (readVariable(env, 'EXTRA_DOCKER_TAGS') ?? '').split(/[\s,]+/).filter((tag) => tag !== '');
  for (const tag of more) verifyTag('EXTRA_DOCKER_TAGS', tag);
  const others = new Set([...more, ...(readVariable(env, 'TAG_LATEST') ? ['latest'] : [])]);
  others.delete(main);
  return {
    root,
    registry,
    /** The tags that both images get, the main one first. */
    tags: [main, ...others] as [string, ...string[]],
    arches: platformArches('DOCKER_PLATFORMS', readVariable(env, 'DOCKER_PLATFORMS')),
    builder: resolveBuilder(env, options),
    /** The time that the images bear, in seconds since 1970. */
    epoch: readVariable(env, 'SOURCE_DATE_EPOCH') ?? 0,
    cacheDirectory: resolveCacheDirectory(env, root, startDirectory),
    isStaged: isStaged(env),
    build: resolveBuildOptions(env, startDirectory),
    extra: options.rest,
  };
}
