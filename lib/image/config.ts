// SPDX-License-Identifier: Apache-2.0

/** What an image build was asked for: arguments and environment, checked, as one value. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable } from '../cli/env.ts';
import type { ImageOutput } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { COMPONENTS, type Component, type IMAGE_TARGETS } from '../product.ts';
import { type BuildOptions, resolveBuildOptions, resolvePlatforms } from '../stage/config.ts';
import { type PassedOptions, readOptions } from './build-options.ts';
import { verifyOutput } from './output.ts';
import { imageReference, verifyReference, verifyRegistry, verifyTag } from './reference.ts';

export interface ImageConfig {
  readonly root: string;
  readonly component: Component;
  /** `registry/name:tag`. */
  readonly reference: string;
  /** Further references for the same image. */
  readonly otherTags: readonly string[];
  /** Absolute. */
  readonly dockerfile: string;
  /** The stage of the Dockerfile. */
  readonly target: string;
  /** From `DOCKER_PLATFORM`; `undefined` for the engine's own architecture. */
  readonly arches: readonly Arch[] | undefined;
  readonly builder: string | undefined;
  /** The directory of the local build cache of this image, absolute. */
  readonly cacheDirectory: string;
  readonly output: ImageOutput;
  readonly isStaged: boolean;
  readonly isCi: boolean;
  /** How the binary is compiled. */
  readonly build: BuildOptions;
  /** Options that go to the engine as they are. */
  readonly extra: readonly string[];
}

/**
 * Resolves the configuration of an image build.
 * @param extra the user's options for the engine's build command
 * @throws usageError for any wrong value
 */
export function resolveImageConfig(
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
): ImageConfig {
  const component = target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor;
  const options = readOptions(extra);
  const registry = verifyRegistry('IMAGE_REGISTRY', readVariable(env, 'IMAGE_REGISTRY'));
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  const arches = resolvePlatforms(env);
  const isCi = readVariable(env, 'CI');
  return {
    root,
    component,
    reference: imageReference(registry, component.name, tag),
    otherTags: options.tags.map((reference) => verifyReference('--tag', reference)),
    dockerfile: resolveDockerfile(options, root, startDirectory, component.name),
    target: options.target ?? component.name,
    arches,
    builder: resolveBuilder(env, options),
    cacheDirectory: join(resolveCacheDirectory(env, root, startDirectory), component.name),
    output: resolveDestination(env, arches, true),
    isStaged: readVariable(env, 'PREBUILT_AUTO_STAGE') && !isCi,
    isCi,
    build: resolveBuildOptions(env, root, startDirectory),
    extra: options.rest,
  };
}

/** The Dockerfile of an image, below the checkout. */
export function dockerfileOf(root: string, image: string): string {
  return join(root, 'deploy/docker', `Dockerfile.${image}`);
}

/** @throws usageError where there is no such Dockerfile */
export function verifyDockerfile(dockerfile: string): void {
  if (statSync(dockerfile, { throwIfNoEntry: false })?.isFile() === true) return;
  throw usageError(`${dockerfile} does not exist; check OPENSHELL_ROOT, or name a Dockerfile with --file`);
}

/** A file that the user names is relative to where the task was started. */
export function resolveDockerfile(
  { dockerfile }: PassedOptions,
  root: string,
  startDirectory: string,
  image: string,
): string {
  return dockerfile === undefined ? dockerfileOf(root, image) : absolutePath(startDirectory, dockerfile);
}

/**
 * The directory of the build caches; one for each image stands in it, because an export replaces what another has left.
 */
export function resolveCacheDirectory(env: Environment, root: string, startDirectory: string): string {
  return join(readPath(env, 'DOCKER_BUILD_CACHE_DIR', startDirectory) ?? join(root, '.cache/buildkit'), 'images');
}

/**
 * Where the image goes. A comma in the platforms does not mean push: the user has to ask for it.
 * @param takesOutput whether `DOCKER_OUTPUT` counts
 * @throws usageError for several platforms that would have to be loaded, and for two destinations
 */
export function resolveDestination(
  env: Environment,
  arches: readonly Arch[] | undefined,
  takesOutput: boolean,
): ImageOutput {
  const isPushed = readVariable(env, 'DOCKER_PUSH');
  const output = takesOutput ? readVariable(env, 'DOCKER_OUTPUT') : undefined;
  if (isPushed && output !== undefined) {
    throw usageError(
      'DOCKER_PUSH and DOCKER_OUTPUT are both set, and only one can decide where the image goes; unset one',
    );
  }
  if (output !== undefined) return { kind: 'output', value: verifyOutput('DOCKER_OUTPUT', output) };
  if (isPushed) return { kind: 'push' };
  if ((arches?.length ?? 1) === 1) return { kind: 'load' };
  throw usageError(
    `DOCKER_PLATFORM names ${arches?.length} platforms, which cannot be loaded as one image; set DOCKER_PUSH=1 to push ` +
      `them${takesOutput ? ', or DOCKER_OUTPUT to write them somewhere' : ''}, or name one platform`,
  );
}

/**
 * The builder, from `DOCKER_BUILDER` or the user's options.
 * @throws usageError for two different ones
 */
export function resolveBuilder(env: Environment, { builder }: PassedOptions): string | undefined {
  const named = verifyBuilder('DOCKER_BUILDER', readVariable(env, 'DOCKER_BUILDER'));
  if (builder === undefined) return named;
  if (named === undefined || named === builder) return verifyBuilder('--builder', builder);
  throw usageError(`DOCKER_BUILDER is ${shown(named)} and --builder is ${shown(builder)}; give one of them`);
}

/** The grammar of buildx (https://github.com/docker/buildx, store.ValidateName) and of docker's contexts. */
function verifyBuilder(source: string, builder: string | undefined): string | undefined {
  if (builder === undefined || /^[a-zA-Z0-9][a-zA-Z0-9._+-]*$/.test(builder)) return builder;
  throw notAllowed(source, builder, 'is the name of a builder, see: docker buildx ls');
}
