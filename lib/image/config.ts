// SPDX-License-Identifier: Apache-2.0

/** What an image build was asked for: arguments and environment, checked, as one value. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable, textOf } from '../cli/env.ts';
import type { NamedBuilder } from '../engine/inspect-builder.ts';
import type { ImageBuild, ImageOutput } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { isOfOther } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { COMPONENTS, type Component, type IMAGE_TARGETS, PRODUCT } from '../product.ts';
import { resolveBuildOptions, resolvePlatforms } from '../stage/config.ts';
import { verifyReference, verifyRegistry, verifyTag } from './reference.ts';
import { type PassedOptions, readOptions } from './user-options.ts';

/** @param extra the user's options for the engine's build command @throws usageError for any wrong value */
export function resolveImageConfig(
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
) {
  const component = target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor;
  const isCi = readVariable(env, 'CI');
  const caches = resolveCacheDirectory(env, root, startDirectory);
  return {
    ...resolveImage(component, extra, env, root, startDirectory),
    root,
    component,
    /** CI has none. */
    cacheDirectory: isCi || caches === undefined ? undefined : join(caches, component.name),
    ...resolveStaging(env),
    build: resolveBuildOptions(env, startDirectory),
  };
}

/** Whether binaries are compiled and staged first, and the variables that are set and have no effect where not. */
export function resolveStaging(env: Environment) {
  const isWanted = readVariable(env, 'PREBUILT_AUTO_STAGE');
  const isStaged = isWanted && !readVariable(env, 'CI');
  const names = ['OPENSHELL_CARGO_VERSION', 'EXTRA_CARGO_FEATURES', 'SUPERVISOR_LIBC'];
  const ofStaging = isWanted ? ['PREBUILT_AUTO_STAGE', ...names] : names;
  return { isStaged, unused: isStaged ? [] : ofStaging.filter((name) => textOf(env, name) !== undefined) };
}

/** @param component whose binary is in it; `undefined` for the CI image, which takes no registry and no output */
export function resolveImage(
  component: Component | undefined,
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
) {
  const { dockerfile, rest, tags, target = component?.name, ...options } = readOptions(extra);
  const name = component?.name ?? 'ci';
  const registry = component && verifyRegistry('IMAGE_REGISTRY', readVariable(env, 'IMAGE_REGISTRY'));
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  const reference = `${registry ?? PRODUCT.imageNamespaces[0]}/${name}:${tag}`;
  const arches = resolvePlatforms(env);
  const builder = resolveBuilder(env, options);
  const output = resolveDestination(env, arches, component !== undefined);
  if (component !== undefined && registry === undefined && output.kind === 'push') {
    const name = `${PRODUCT.imageNamespaces[0]}/${component.name}`;
    const where = `DOCKER_PUSH would push ${name} to docker.io`;
    throw usageError(`${where}; set IMAGE_REGISTRY to the registry and path to push to, such as ghcr.io/org`);
  }
  const image: ImageBuild = {
    context: root,
    dockerfile: dockerfile === undefined ? dockerfileOf(root, name) : absolutePath(startDirectory, dockerfile),
    target,
    tags: [reference, ...tags.map((other) => verifyReference('--tag', other))],
    platforms: (arches ?? []).map((arch) => `linux/${arch}`),
    builder: builder?.name,
    caches: [],
    secrets: [],
    extra: rest,
    output,
  };
  /** Without architectures it is for the engine's own. */
  return { reference, arches, builder, image };
}

export function dockerfileOf(root: string, image: string): string {
  return join(root, 'deploy/docker', `Dockerfile.${image}`);
}

/** @throws usageError where there is no such Dockerfile */
export function verifyDockerfile(dockerfile: string): void {
  if (statSync(dockerfile, { throwIfNoEntry: false })?.isFile() === true) return;
  throw usageError(`${dockerfile} does not exist; check OPENSHELL_ROOT, or name a Dockerfile with --file`);
}

/**
 * The directory that has one for each image's build cache: an export replaces everything in its directory. None for
 * root in the directory of another user, where the engine would write as root wherever that user's links lead.
 */
export function resolveCacheDirectory(env: Environment, root: string, startDirectory: string): string | undefined {
  const caches = readPath(env, 'DOCKER_BUILD_CACHE_DIR', startDirectory) ?? join(root, '.cache/buildkit');
  const directory = join(caches, 'images');
  return isOfOther(directory) ? undefined : directory;
}

/** Several platforms do not mean a push: users have to ask for it. @param takesOutput whether `DOCKER_OUTPUT` counts */
export function resolveDestination(
  env: Environment,
  arches: readonly Arch[] | undefined,
  takesOutput: boolean,
): ImageOutput {
  const isPushed = readVariable(env, 'DOCKER_PUSH');
  const output = takesOutput ? readVariable(env, 'DOCKER_OUTPUT') : undefined;
  if (isPushed && output !== undefined) {
    throw usageError('DOCKER_PUSH and DOCKER_OUTPUT are both set, and only one can decide; unset one');
  }
  if (output !== undefined) return { kind: 'output', value: verifyOutput('DOCKER_OUTPUT', output) };
  if (isPushed) return { kind: 'push' };
  if ((arches?.length ?? 1) === 1) return { kind: 'load' };
  throw usageError(
    `DOCKER_PLATFORM names ${arches?.length} platforms, which cannot be loaded as one image; set DOCKER_PUSH=1 to push ` +
      `them${takesOutput ? ', or DOCKER_OUTPUT to write them somewhere' : ''}, or name one platform`,
  );
}

/** The builder that the user names: buildx's own variable counts after the option, as for buildx. */
export function resolveBuilder(env: Environment, { builder }: Pick<PassedOptions, 'builder'>) {
  const named = namedBuilder('DOCKER_BUILDER', readVariable(env, 'DOCKER_BUILDER'));
  if (builder === undefined) return named ?? namedBuilder('BUILDX_BUILDER', readVariable(env, 'BUILDX_BUILDER'));
  if (named === undefined || named.name === builder) return named ?? namedBuilder('--builder', builder);
  throw usageError(`DOCKER_BUILDER is ${shown(named.name)} and --builder is ${shown(builder)}; give one of them`);
}

/** The grammar of buildx (https://github.com/docker/buildx, store.ValidateName) and of docker's contexts. */
function namedBuilder(source: string, name: string | undefined): NamedBuilder | undefined {
  if (name === undefined) return undefined;
  if (/^[a-zA-Z0-9][a-zA-Z0-9._+-]*$/.test(name)) return { name, source };
  throw notAllowed(source, name, 'is the name of a builder, see: docker buildx ls');
}

/** Checks an `--output` value, whose pairs the engine reads, relative to where the task was started. */
function verifyOutput(source: string, text: string): string {
  if (/(?:^|,)\s*"?dest=-(?:[",]|$)/.test(text)) {
    throw notAllowed(source, text, 'are destinations that are files or directories: stdout has the result of the task');
  }
  if (/(?:^|,)\s*"?type=[^\s",]/i.test(text)) return text;
  throw notAllowed(source, text, 'are key=value pairs with a type, such as type=local,dest=out');
}
