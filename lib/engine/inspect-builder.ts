// SPDX-License-Identifier: Apache-2.0

/** The builder that would build. `docker buildx inspect` has no structured output. */

import type { RunnerContext } from '../build-env.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { MissingTool, oneLine, usageError } from '../errors.ts';
import { type EngineProbes, ORDINARY, type Purpose, probeCommand, RECORDS } from './detect.ts';
import type { Engine, EngineName } from './types.ts';

/** More than the 20 seconds that buildx itself waits for a node, so that its own words are heard. */
const BUILDER_TIMEOUT_MS = 30_000;

export const LOCAL_DRIVER = 'docker';
export const CONTAINER_DRIVER = 'docker-container';

export interface NamedBuilder {
  readonly name: string;
  /** The variable or option that names it. */
  readonly source: string;
}

export interface BuilderState {
  readonly name?: string;
  readonly driver?: string | undefined;
  /** Why it does not build, as the end of a sentence. */
  readonly problem?: string;
  readonly isAbsent?: true;
}

/** For image builds. A builder elsewhere that is named needs no daemon of docker here, unless that gets the image. */
export function forBuilds(named: NamedBuilder | undefined, isLoaded: boolean): Purpose<Engine> {
  const look = async (name: EngineName, probes: EngineProbes) => {
    const found = await ORDINARY.look(name, probes);
    const { builderProbe } = RECORDS[name];
    const args = 'said' in found && named !== undefined && !isLoaded ? builderProbe(named.name) : undefined;
    const result = args && (await probes.ask(name, args));
    const state = result?.ok ? parseBuilder(result.output) : undefined;
    if (state === undefined || state.name !== named?.name || state.problem !== undefined) return found;
    if (state.driver === LOCAL_DRIVER) return found;
    const info = { engine: name, arch: undefined, storesIndexes: false };
    return { record: RECORDS[name], program: name, info };
  };
  return { ...ORDINARY, look };
}

/**
 * Inspects a builder, without a name the one chosen with `docker buildx use`; `undefined` where the engine has none.
 * @throws MissingTool where docker has no buildx, or could not be probed
 */
export async function inspectBuilder(
  { runner }: RunnerContext,
  engine: Engine,
  root: string,
  name: string | undefined,
): Promise<BuilderState | undefined> {
  const args = engine.record.builderProbe(name);
  if (args === undefined) return undefined;
  if (engine.unknown !== undefined) throw new MissingTool(engine.reason);
  const result = await runner.probe(probeCommand([engine.program, ...args], root), BUILDER_TIMEOUT_MS);
  return result.ok ? parseBuilder(result.output) : parseRefusal(result.reason);
}

/** Only a builder that does not exist is created. @throws MissingTool where docker has no buildx, no builder's fault */
export function parseRefusal(reason: string): BuilderState {
  if (/'buildx' is not a docker command|unknown command: docker buildx/.test(reason)) {
    throw new MissingTool(
      `docker has no plugin buildx, which builds the images (${oneLine(reason)}); install it (the package ` +
        'docker-buildx-plugin or docker-buildx, or https://github.com/docker/buildx), or set CONTAINER_ENGINE=podman',
    );
  }
  const isAbsent = /no builder ["'].*["'] found/.test(reason);
  return isAbsent ? { problem: 'does not exist', isAbsent } : { problem: failing(reason) };
}

/** Reads `buildx inspect`: rows for the builder and then for each node, padded as it likes. */
export function parseBuilder(text: string): BuilderState {
  const [head = '', ...nodes] = text.split(/^(?=Name:)/m).filter((part) => /^Name:/.test(part));
  const name = rowOf(head, 'Name');
  if (name === undefined) return { problem: failing(text) };
  const driver = rowOf(head, 'Driver');
  const problems = nodes.map((node) => problemOfNode(node, driver));
  // Buildx builds with the nodes that work.
  const problem = rowOf(head, 'Error') ?? (problems.includes(undefined) ? undefined : problems[0]);
  return { name, driver, ...(problem === undefined ? {} : { problem: failing(problem) }) };
}

/** Nodes of other drivers than `remote` are started where they are inactive. */
function problemOfNode(node: string, driver: string | undefined): string | undefined {
  const isLost = driver === 'remote' && rowOf(node, 'Status') === 'inactive';
  return rowOf(node, 'Error') ?? (isLost ? `nothing responds at ${rowOf(node, 'Endpoint')}` : undefined);
}

function rowOf(text: string, key: string): string | undefined {
  return new RegExp(`^${key}:[ \\t]+(.+)`, 'm').exec(text)?.[1]?.trim();
}

function failing(reason: string): string {
  return `does not work: ${oneLine(reason)}`;
}

/** What stands for the options of a cache in a dry run: whether there are any depends on the builder's driver. */
export function unknownCache({ unknown = 'builder not reachable' }: Engine): string {
  return mark('cache options', unknown);
}

/**
 * The builder that would build: its driver, which is `undefined` where the engine has none, and in a dry run maybe a mark.
 * @throws usageError with buildx's reason for a builder that does not exist or does not work
 */
export async function probeBuilder(
  ctx: RunnerContext,
  engine: Engine,
  root: string,
  named: NamedBuilder | undefined,
): Promise<{ readonly engine: Engine; readonly driver: string | undefined }> {
  const probe = async () => {
    const { driver, isAbsent, problem } = (await inspectBuilder(ctx, engine, root, named?.name)) ?? {};
    if (problem === undefined) return { engine, driver };
    const [what, remedy] =
      named === undefined
        ? ['the builder chosen with docker buildx use', 'choose another one, or name one in DOCKER_BUILDER']
        : [`builder '${named.name}' (${named.source})`, `name another one in ${named.source}, or leave that out`];
    const text = `${what} ${problem}; ${remedy} (see docker buildx ls)`;
    // One that does not exist is a wrong name.
    throw isAbsent ? usageError(text) : new MissingTool(text);
  };
  return findOrMark(ctx.unknowns, probe, { engine, driver: unknownCache(engine) });
}

/** @throws usageError for several platforms and docker's own builder over its old image store */
export function verifyPlatforms(
  { driver, engine }: Awaited<ReturnType<typeof probeBuilder>>,
  platforms: readonly string[],
): void {
  if (platforms.length < 2 || driver !== LOCAL_DRIVER || engine.info.storesIndexes) return;
  throw usageError(
    `the builder is docker's own, which builds one platform at a time, not ${platforms.join(',')}; set DOCKER_BUILDER to ` +
      'one of another driver (docker buildx ls, docker buildx create), or name one platform',
  );
}
