// SPDX-License-Identifier: Apache-2.0

/** What an image build was asked for: words and environment, checked, as one value. */

import { join } from 'node:path';
import { booleanOf, type Environment, textOf } from '../environment.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../paths.ts';
import { type Arch, platformArches } from '../platform.ts';
import { COMPONENTS, type Component } from '../product.ts';
import { resolveOutput } from './output.ts';
import { imageReference, verifyRegistry, verifyTag } from './reference.ts';

/** The words that name an image; `supervisor-output` is an old name. */
export const IMAGE_TARGETS = ['gateway', 'supervisor', 'supervisor-output'] as const;

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
  /** From `DOCKER_PLATFORM`; `undefined` for the engine's own architecture. */
  readonly arches: readonly Arch[] | undefined;
  readonly builder: string | undefined;
  /** The folder of the local build cache of this image, absolute. */
  readonly cacheFolder: string;
  /** An `--output` value with absolute paths. */
  readonly output: string | undefined;
  readonly isPushed: boolean;
  readonly isStaged: boolean;
  readonly isCi: boolean;
  readonly extra: readonly string[];
}

/** Words that would move the output past the variables that decide it. */
const OUTPUT_WORDS = ['--push', '--load', '--output', '-o', '--metadata-file', '--iidfile'];

/**
 * Resolves the configuration of an image build.
 *
 * @param target one of `IMAGE_TARGETS`
 * @param extra words for the engine's build command, as they are
 * @throws usageError for any wrong value
 */
export function resolveImageConfig(
  target: string,
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
): ImageConfig {
  const component = target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor;
  const platforms = textOf(env, IMAGE_VARIABLES.platforms);
  const arches = platforms === undefined ? undefined : platformArches(IMAGE_VARIABLES.platforms, platforms);
  const output = textOf(env, IMAGE_VARIABLES.output);
  const isPushed = booleanOf(env, IMAGE_VARIABLES.push, false);
  const isCi = booleanOf(env, IMAGE_VARIABLES.ci, false);
  verifyExtra(extra);
  verifyOutputChoice(arches, output, isPushed);
  const cache = textOf(env, IMAGE_VARIABLES.cache);
  const cacheRoot = cache === undefined ? join(root, '.cache/buildkit') : absolutePath(startDirectory, cache);
  return {
    root,
    component,
    reference: imageReference(
      verifyRegistry(IMAGE_VARIABLES.registry, textOf(env, IMAGE_VARIABLES.registry)),
      component.name,
      verifyTag(IMAGE_VARIABLES.tag, textOf(env, IMAGE_VARIABLES.tag) ?? 'dev'),
    ),
    arches,
    builder: verifyBuilder(textOf(env, IMAGE_VARIABLES.builder)),
    // One folder for each image: an export replaces what another has left.
    cacheFolder: join(cacheRoot, 'images', component.name),
    output: output === undefined ? undefined : resolveOutput(IMAGE_VARIABLES.output, output, startDirectory),
    isPushed,
    isStaged: booleanOf(env, IMAGE_VARIABLES.autoStage, true) && !isCi,
    isCi,
    extra,
  };
}

/** A comma in the platforms does not mean push: somebody has to say so. */
function verifyOutputChoice(arches: readonly Arch[] | undefined, output: string | undefined, isPushed: boolean): void {
  const { platforms, push, output: outputName } = IMAGE_VARIABLES;
  if ((arches?.length ?? 1) > 1 && !isPushed && output === undefined) {
    throw usageError(
      `${platforms} names ${arches?.length} platforms, which cannot be loaded as one image; ` +
        `set ${push}=1 to push them, or ${outputName} to write them somewhere, or name one platform`,
    );
  }
  if (isPushed && output !== undefined) {
    throw usageError(`${push} and ${outputName} are both set, and only one can decide where the image goes; unset one`);
  }
}

/**
 * Refuses words that would decide where the image goes.
 *
 * @throws usageError naming the word
 */
export function verifyExtra(extra: readonly string[]): void {
  const word = extra.find((candidate) =>
    OUTPUT_WORDS.some((name) => candidate === name || candidate.startsWith(`${name}=`)),
  );
  if (word === undefined) return;
  throw usageError(
    `${shown(word)} cannot be passed on; where the image goes is said by ` +
      `${IMAGE_VARIABLES.push} or ${IMAGE_VARIABLES.output}`,
  );
}

/** The grammar of buildx (https://github.com/docker/buildx, store.ValidateName). */
export function verifyBuilder(builder: string | undefined): string | undefined {
  if (builder === undefined || /^[a-zA-Z][a-zA-Z0-9._-]*$/.test(builder)) return builder;
  throw usageError(
    `${IMAGE_VARIABLES.builder} is ${shown(builder)}; allowed is the name of a builder, see: docker buildx ls`,
  );
}
