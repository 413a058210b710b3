// SPDX-License-Identifier: Apache-2.0

/** The builder that would build. `docker buildx inspect` has no structured output. */

import type { RunnerContext } from '../build-env.ts';
import { oneLine, usageError } from '../errors.ts';
import { probeCommand } from './detect.ts';
import type { Engine } from './types.ts';

const BUILDER_TIMEOUT_MS = 20_000;

/** What a builder says about itself. */
export type BuilderState = Builder | { readonly kind: 'absent' | 'broken'; readonly reason: string };

interface Builder {
  readonly kind: 'exists';
  readonly name: string;
  /** Such as `docker` or `docker-container`. */
  readonly driver: string | undefined;
  /** The platforms that its nodes say they run; empty where they do not say. */
  readonly platforms: readonly string[];
  /** The error of a node. */
  readonly problem?: string;
}

/**
 * Inspects a builder.
 * @param name without one, the builder chosen with `docker buildx use`
 * @returns `undefined` where the engine has no builders
 */
export async function inspectBuilder(
  { runner }: RunnerContext,
  engine: Engine,
  root: string,
  name: string | undefined,
): Promise<BuilderState | undefined> {
  const args = engine.record.builderProbe(name);
  if (args === undefined) return undefined;
  const result = await runner.probe(probeCommand([engine.program, ...args], root), BUILDER_TIMEOUT_MS);
  return result.ok ? parseBuilder(result.output) : parseRefusal(result.reason);
}

/** Only a builder that does not exist is created; one that is broken is not created again. */
export function parseRefusal(reason: string): BuilderState {
  return { kind: /no builder ["'].*["'] found/.test(reason) ? 'absent' : 'broken', reason };
}

/** Reads `buildx inspect`, whose rows are padded as it likes; an error of a node stands in a row of its own. */
export function parseBuilder(text: string): BuilderState {
  const row = (key: string) => new RegExp(`^${key}:[ \\t]+(.+)`, 'm').exec(text)?.[1]?.trim();
  const name = row('Name');
  if (name === undefined) return { kind: 'broken', reason: text };
  const platforms = [...text.matchAll(/^Platforms:[ \t]+(.+)/gm)].flatMap(([, list = '']) => list.split(/[,\s*]+/));
  const problem = row('Error');
  return { kind: 'exists', name, driver: row('Driver'), platforms, ...(problem === undefined ? {} : { problem }) };
}

/**
 * The driver of the builder that would build; `undefined` where the engine has no builders.
 * @param name as for `inspectBuilder`
 * @throws usageError with buildx's reason for a builder that does not exist or does not work
 */
export async function probeBuilder(
  ctx: RunnerContext,
  engine: Engine,
  root: string,
  name: string | undefined,
): Promise<string | undefined> {
  const state = await inspectBuilder(ctx, engine, root, name);
  if (state === undefined) {
    if (name !== undefined) ctx.terminal.say(`${engine.record.name} has no builders; DOCKER_BUILDER has no effect`);
    return undefined;
  }
  if (state.kind === 'exists') return state.driver;
  const what = name === undefined ? 'the builder chosen with docker buildx use' : `builder '${name}'`;
  const remedy = name === undefined ? 'choose another one, or name one in' : 'choose another one, change or unset';
  throw usageError(`${what} does not work: ${oneLine(state.reason)}; ${remedy} DOCKER_BUILDER (see docker buildx ls)`);
}

/**
 * Several platforms in one build need a builder that can hold them.
 * @param driver what `probeBuilder` gave
 * @throws usageError for docker's own builder over its old image store, which would refuse only after the compile
 */
export function verifyPlatforms(engine: Engine, driver: string | undefined, platforms: readonly string[]): void {
  if (platforms.length < 2 || driver !== 'docker' || engine.info.storesIndexes) return;
  throw usageError(
    `the builder is docker's own, which builds one platform at a time, not ${platforms.join(',')}; set DOCKER_BUILDER to ` +
      'one of another driver (docker buildx ls, docker buildx create), or name one platform',
  );
}
