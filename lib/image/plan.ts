// SPDX-License-Identifier: Apache-2.0

/** The plan of an image build, pure: what is staged, and the engine's commands. */

import type { Engine, ImageBuild } from '../engine/types.ts';
import type { Place } from '../fs/writable-places.ts';
import type { Arch } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import type { StageConfig } from '../stage/config.ts';
import { type PreparedStage, stagePlaces } from '../stage/plan.ts';
import { cacheOptions } from './comma-fields.ts';
import type { ImageConfig } from './config.ts';

/** An image build that is planned: nothing but probes has been started. */
export interface PreparedImage {
  /** What the image copies. */
  readonly stage: StageConfig;
  /** `undefined` where others have staged it. */
  readonly staging: PreparedStage | undefined;
  /** The directory of the build cache; `undefined` where the builder keeps its own. */
  readonly cache: string | undefined;
  readonly commands: readonly Command[];
}

/** The directory of a build cache. */
export function cachePlace(path: string): Place {
  return { kind: 'directory', path, remedy: 'set DOCKER_BUILD_CACHE_DIR to another directory' };
}

/** What is written besides the image. */
export function imagePlaces({ cache, staging }: PreparedImage): Place[] {
  const caches = cache === undefined ? [] : [cachePlace(cache)];
  return [...caches, ...(staging === undefined ? [] : stagePlaces(staging.plan))];
}

/** What the engine is to build, once it was probed. */
export function imageBuild(
  { image }: ImageConfig,
  arches: readonly Arch[],
  cache: string | undefined,
  unknown: readonly string[] = [],
): ImageBuild {
  const caches = cache === undefined ? unknown : cacheOptions(cache);
  return { ...image, platforms: arches.map((arch) => `linux/${arch}`), caches };
}

/**
 * The commands of a build.
 * @param cwd the directory that relative paths in the user's options are relative to
 */
export function imageCommands(engine: Engine, build: ImageBuild, cwd: string): Command[] {
  const { buildCommands, buildSignal: endedBy } = engine.record;
  return buildCommands(build).map((args) => cmd({ cwd, endedBy })`${engine.program} ${args}`);
}
