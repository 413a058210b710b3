// SPDX-License-Identifier: Apache-2.0

/** What an image build was asked for: words and environment, checked, as one value. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { booleanOf, type Environment, textOf } from '../cli/env.ts';
import type { ImageOutput } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Arch, platformArches, thisHost } from '../host.ts';
import { COMPONENTS, type Component } from '../product.ts';
import { resolveStageConfig, STAGE_VARIABLES, type StageConfig } from '../stage/config.ts';
import { type ExtraWords, readExtra } from './build-options.ts';
import { resolveOutput } from './output.ts';
import { imageReference, verifyReference, verifyRegistry, verifyTag } from './reference.ts';

export { verifyExtra } from './build-options.ts';

/** The words that name an image; `supervisor-output` is an old name. */
export const IMAGE_TARGETS = ['gateway', 'supervisor', 'supervisor-output'] as const;

/** The tag that nobody has to name. */
export const DEFAULT_TAG = 'dev';

export const IMAGE_VARIABLES = {
  registry: 'IMAGE_REGISTRY',
  tag: 'IMAGE_TAG',
  platforms: 'DOCKER_PLATFORM',
  builder: 'DOCKER_BUILDER',
  cache: 'DOCKER_BUILD_CACHE_DIR',
  output: 'DOCKER_OUTPUT',
  push: 'DOCKER_PUSH',
  autoStage: 'PREBUILT_AUTO_STAGE',
  ci: 'CI',
} as const;

export interface ImageConfig {
  readonly root: string;
  readonly component: Component;
  /** `registry/name:tag`. */
  readonly reference: string;
  /** Further references for the same image. */
  readonly otherTags: readonly string[];
  /** Relative to the checkout, or absolute. */
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
  /** How the binary is staged; for which architectures is decided with the image's. */
  readonly stage: StageConfig;
  /** Words that go to the engine as they are. */
  readonly extra: readonly string[];
}

/**
 * Resolves the configuration of an image build.
 *
 * @param target one of `IMAGE_TARGETS`
 * @param extra the user's words for the engine's build command
 * @throws usageError for any wrong value
 */
export function resolveImageConfig(
  target: string,
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
): ImageConfig {
  const component = componentOf(target);
  const words = readExtra(extra);
  const registry = verifyRegistry(IMAGE_VARIABLES.registry, textOf(env, IMAGE_VARIABLES.registry));
  const tag = verifyTag(IMAGE_VARIABLES.tag, textOf(env, IMAGE_VARIABLES.tag) ?? DEFAULT_TAG);
  const arches = resolveArches(env);
  const isCi = booleanOf(env, IMAGE_VARIABLES.ci, false);
  const cache = textOf(env, IMAGE_VARIABLES.cache);
  return {
    ...localImageConfig(component.name, env, root, startDirectory, { tag }),
    reference: imageReference(registry, component.name, tag),
    otherTags: words.tags.map((reference) => verifyReference('--tag', reference)),
    dockerfile: resolveDockerfile(words, startDirectory) ?? dockerfileOf(component.name),
    target: words.target ?? component.name,
    arches,
    builder: resolveBuilder(env, words),
    cacheDirectory: cacheDirectoryOf(
      component,
      cache === undefined ? undefined : absolutePath(startDirectory, cache),
      root,
    ),
    output: resolveDestination(env, arches, startDirectory, true),
    isStaged: booleanOf(env, IMAGE_VARIABLES.autoStage, true) && !isCi,
    isCi,
    extra: words.rest,
  };
}

/**
 * The configuration of an image for this machine alone: staged, built and loaded. Of the environment only what says how
 * to compile counts; what it says about registries, tags, platforms, pushing and outputs stays out.
 *
 * @throws usageError for a wrong value of staging
 */
export function localImageConfig(
  name: Component['name'],
  env: Environment,
  root: string,
  startDirectory: string,
  { tag = DEFAULT_TAG, arch }: { readonly tag?: string; readonly arch?: Arch } = {},
): ImageConfig {
  const component = COMPONENTS[name];
  // Any architecture will do here: it is replaced by those of the image.
  const platforms: Environment = { [STAGE_VARIABLES.arch]: arch ?? 'amd64', [STAGE_VARIABLES.platforms]: undefined };
  return {
    root,
    component,
    reference: imageReference(undefined, name, tag),
    otherTags: [],
    dockerfile: dockerfileOf(name),
    target: name,
    arches: arch === undefined ? undefined : [arch],
    builder: undefined,
    cacheDirectory: cacheDirectoryOf(component, undefined, root),
    output: { kind: 'load' },
    isStaged: true,
    isCi: false,
    stage: resolveStageConfig(name, { ...env, ...platforms }, root, startDirectory, thisHost()),
    extra: [],
  };
}

/** The component of a target word; the argument module has checked it. */
function componentOf(target: string): Component {
  return target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor;
}

/** The Dockerfile of an image, below the checkout. */
export function dockerfileOf(image: string): string {
  return `deploy/docker/Dockerfile.${image}`;
}

/** @throws usageError where there is no such Dockerfile */
export function verifyDockerfile(root: string, dockerfile: string): void {
  if (statSync(absolutePath(root, dockerfile), { throwIfNoEntry: false })?.isFile() === true) return;
  throw usageError(`${dockerfile} is not in ${root}; check OPENSHELL_ROOT`);
}

/** One directory for each image: an export replaces what another has left. */
function cacheDirectoryOf(component: Component, named: string | undefined, root: string): string {
  return join(named ?? join(root, '.cache/buildkit'), 'images', component.name);
}

/** From `DOCKER_PLATFORM`. @throws usageError */
export function resolveArches(env: Environment): readonly Arch[] | undefined {
  const text = textOf(env, IMAGE_VARIABLES.platforms);
  return text === undefined ? undefined : platformArches(IMAGE_VARIABLES.platforms, text);
}

/** A file that the user names is relative to where the task was started. */
export function resolveDockerfile({ dockerfile }: ExtraWords, startDirectory: string): string | undefined {
  return dockerfile === undefined ? undefined : absolutePath(startDirectory, dockerfile);
}

/**
 * Where the image goes. A comma in the platforms does not mean push: somebody has to say so.
 *
 * @param takesOutput whether `DOCKER_OUTPUT` counts
 * @throws usageError for several platforms that would have to be loaded, and for two answers
 */
export function resolveDestination(
  env: Environment,
  arches: readonly Arch[] | undefined,
  startDirectory: string,
  takesOutput: boolean,
): ImageOutput {
  const { platforms, push, output: outputName } = IMAGE_VARIABLES;
  const isPushed = booleanOf(env, push, false);
  const output = takesOutput ? textOf(env, outputName) : undefined;
  if (isPushed && output !== undefined) {
    throw usageError(`${push} and ${outputName} are both set, and only one can decide where the image goes; unset one`);
  }
  if (output !== undefined) return { kind: 'output', value: resolveOutput(outputName, output, startDirectory) };
  if (isPushed) return { kind: 'push' };
  if ((arches?.length ?? 1) === 1) return { kind: 'load' };
  throw usageError(
    `${platforms} names ${arches?.length} platforms, which cannot be loaded as one image; set ${push}=1 to push them` +
      `${takesOutput ? `, or ${outputName} to write them somewhere` : ''}, or name one platform`,
  );
}

/**
 * The builder, from `DOCKER_BUILDER` or the user's words.
 *
 * @throws usageError for two different ones
 */
export function resolveBuilder(env: Environment, { builder }: ExtraWords): string | undefined {
  const named = verifyBuilder(textOf(env, IMAGE_VARIABLES.builder));
  if (builder === undefined) return named;
  if (named === undefined || named === builder) return verifyBuilder(builder, '--builder');
  throw usageError(
    `${IMAGE_VARIABLES.builder} is ${shown(named)} and --builder is ${shown(builder)}; give one of them`,
  );
}

/** The grammar of buildx (https://github.com/docker/buildx, store.ValidateName) and of docker's contexts. */
export function verifyBuilder(
  builder: string | undefined,
  source: string = IMAGE_VARIABLES.builder,
): string | undefined {
  if (builder === undefined || /^[a-zA-Z0-9][a-zA-Z0-9._+-]*$/.test(builder)) return builder;
  throw usageError(`${source} is ${shown(builder)}; allowed is the name of a builder, see: docker buildx ls`);
}
