// SPDX-License-Identifier: Apache-2.0

/** What an image build was asked for: arguments and environment, checked, as one value. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable } from '../cli/env.ts';
import type { NamedBuilder } from '../engine/inspect-builder.ts';
import type { ImageBuild, ImageOutput } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { isOfOther } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { COMPONENTS, type Component, type IMAGE_TARGETS, PRODUCT } from '../product.ts';
import { resolveBuildOptions, resolvePlatforms } from '../stage/config.ts';
import { verifyReference, verifyRegistry, verifyTag } from './reference.ts';

/** @param extra the user's options for the engine's build command @throws usageError for any wrong value */
export function resolveImageConfig(
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  env: Environment,
  root: string,
  startDirectory: string,
) {
  const component = target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor;
  const caches = resolveCacheDirectory(env, root, startDirectory);
  return {
    ...resolveImage(component, extra, env, root, startDirectory),
    component,
    cacheDirectory: caches === undefined ? undefined : join(caches, component.name),
    isStaged: isStaged(env),
    build: resolveBuildOptions(env, startDirectory),
  };
}

/** Whether binaries are compiled and staged first. */
export function isStaged(env: Environment): boolean {
  return readVariable(env, 'PREBUILT_AUTO_STAGE') && !readVariable(env, 'CI');
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
  const repository = `${registry ?? PRODUCT.imageNamespaces[0]}/${name}`;
  const arches = resolvePlatforms(env);
  const builder = resolveBuilder(env, options);
  const output = resolveDestination(env, arches, component !== undefined);
  if (component !== undefined && registry === undefined && output.kind === 'push') {
    const where = `DOCKER_PUSH would push ${repository} to docker.io`;
    throw usageError(`${where}; set IMAGE_REGISTRY to the registry and path to push to, such as ghcr.io/org`);
  }
  const reference = `${repository}:${tag}`;
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
 * The directory that has one for each image's build cache; none in CI, nor for root in the directory of another user,
 * where the engine would write as root wherever that user's links lead.
 */
export function resolveCacheDirectory(env: Environment, root: string, startDirectory: string): string | undefined {
  const caches = readPath(env, 'DOCKER_BUILD_CACHE_DIR', startDirectory) ?? join(root, '.cache/buildkit');
  const directory = join(caches, 'images');
  return readVariable(env, 'CI') || isOfOther(directory) ? undefined : directory;
}

/** Several platforms do not mean a push: users have to ask for it. @param takesOutput whether `DOCKER_OUTPUT` counts */
export function resolveDestination(
  env: Environment,
  arches: readonly Arch[] | undefined,
  takesOutput: boolean,
): ImageOutput {
  const isPushed = readVariable(env, 'DOCKER_PUSH');
  const value = takesOutput ? readVariable(env, 'DOCKER_OUTPUT') : undefined;
  if (isPushed && value !== undefined) {
    throw usageError('DOCKER_PUSH and DOCKER_OUTPUT are both set, and only one can decide; unset one');
  }
  if (value !== undefined) {
    // The engine reads the pairs; stdout has the result of the task.
    const isToFile = /(?:^|,)\s*"?type=[^\s",]/i.test(value) && !/(?:^|,)\s*"?dest=-(?:[",]|$)/.test(value);
    if (isToFile) return { kind: 'output', value };
    throw notAllowed('DOCKER_OUTPUT', value, 'are key=value pairs with a type and no dest=-, as type=local,dest=out');
  }
  if (isPushed) return { kind: 'push' };
  if ((arches?.length ?? 1) === 1) return { kind: 'load' };
  throw usageError(
    `DOCKER_PLATFORM names ${arches?.length} platforms, which cannot be loaded as one image; set DOCKER_PUSH=1 to push ` +
      `them${takesOutput ? ', or DOCKER_OUTPUT to write them somewhere' : ''}, or name one platform`,
  );
}

/** The builder that the user names, by the option or a variable, of which buildx's own counts last. */
export function resolveBuilder(
  env: Environment,
  { builder }: { readonly builder: string | undefined },
): NamedBuilder | undefined {
  const named = [
    { source: '--builder', name: builder },
    { source: 'DOCKER_BUILDER', name: readVariable(env, 'DOCKER_BUILDER') },
    { source: 'BUILDX_BUILDER', name: readVariable(env, 'BUILDX_BUILDER') },
  ].find(({ name }) => name !== undefined);
  if (named?.name === undefined) return undefined;
  const { name, source } = named;
  // The grammar of buildx (https://github.com/docker/buildx, store.ValidateName) and of docker's contexts.
  if (/^[a-zA-Z0-9][a-zA-Z0-9._+-]*$/.test(name)) return { name, source };
  throw notAllowed(source, name, 'is the name of a builder, see: docker buildx ls');
}

const DESTINATION = ['--push', '--load', '--output', '-o', '--metadata-file', '--iidfile'];
/** Options that are taken out; each has a value. */
const TAKEN = ['--builder', '--file', '--target', '--tag'];

/**
 * The user's options for the engine's build command, without those that the task itself has to know; the last of two
 * counts.
 * @throws usageError for an option that cannot be passed on or has no value, and for an argument of none
 */
export function readOptions(args: readonly string[]) {
  const taken: { readonly option: string; readonly value: string }[] = [];
  const rest: string[] = [];
  const left = [...args];
  let previous = '';
  for (let argument = left.shift(); argument !== undefined; argument = left.shift()) {
    // `--name=value`, `-xvalue` and `-x=value` in their parts.
    const [, name = argument, equals, text] = /^(--[^=]+|-[a-zA-Z])(=?)([\s\S]*)$/.exec(argument) ?? [];
    const option = name.replace(/^-f$/, '--file').replace(/^-t$/, '--tag');
    if (TAKEN.includes(option)) {
      const value = equals || text ? text : left.shift();
      if (!value) throw usageError(`${name} needs a value: ${name} VALUE`);
      taken.push({ option, value });
      previous = '';
    } else {
      verifyPassable(argument, name, previous);
      rest.push(argument);
      previous = argument;
    }
  }
  const all = (wanted: string) => taken.flatMap(({ option, value }) => (option === wanted ? [value] : []));
  const last = { builder: all('--builder').at(-1), dockerfile: all('--file').at(-1), target: all('--target').at(-1) };
  return { ...last, tags: all('--tag'), rest };
}

function verifyPassable(argument: string, name: string, previous: string): void {
  const refused = (instead: string) => usageError(`${shown(argument)} cannot be passed on; ${instead}`);
  if (DESTINATION.includes(name)) throw refused('where the image goes is said by DOCKER_PUSH or DOCKER_OUTPUT');
  if (name === '--platform') throw refused('the platforms, which binaries are staged for, are said by DOCKER_PLATFORM');
  // Which options have a value only the engine knows: after one, an argument may be it.
  if ((argument.startsWith('-') && argument !== '-') || /^-[^=]+$/.test(previous)) return;
  const said = `${shown(argument)} is neither an option of the build command nor the value of one`;
  throw usageError(`${said}; write a value as --option=VALUE`);
}
