// SPDX-License-Identifier: Apache-2.0

/**
 * Which builder publishes. The one that is named is used as it is, and created where it does not exist; without a name
 * the user's current one, where it can push several platforms, else one called `multiarch`. The user's current builder
 * is never changed.
 */

import type { RunnerContext } from '../build-env.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import {
  type BuilderState,
  bootArguments,
  CONTAINER_DRIVER,
  inspectBuilder,
  LOCAL_DRIVER,
  problemOf,
  unknownCache,
  withoutEffect,
} from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { MissingTool, usageError } from '../errors.ts';
import type { PublishConfig } from './config.ts';

const FALLBACK = 'multiarch';

/** The builder that publishes; nothing is known of it where the engine has no builders. */
export interface BuilderChoice {
  readonly name?: string;
  readonly driver?: string | undefined;
  /** The arguments that create it, without making it the current one. */
  readonly creation?: readonly string[];
  /** The arguments that start it, after that. */
  readonly boot?: readonly string[] | undefined;
  /** Which one and why, for users. */
  readonly note?: string;
}

/** In a dry run perhaps marks. @throws usageError where the named builder, or `multiarch`, exists and cannot publish */
export async function chooseBuilder(ctx: RunnerContext, engine: Engine, config: PublishConfig): Promise<BuilderChoice> {
  const name = config.builder?.name ?? mark('builder', engine.unknown ?? 'not reachable');
  return findOrMark(ctx.unknowns, () => choose(ctx, engine, config), { name, driver: unknownCache(engine) });
}

async function choose(ctx: RunnerContext, engine: Engine, config: PublishConfig): Promise<BuilderChoice> {
  const { builder, root } = config;
  const state = await inspectBuilder(ctx, engine, root, builder?.name);
  if (state === undefined) {
    const note = withoutEffect(engine, builder);
    return note === undefined ? {} : { note };
  }
  if (builder !== undefined) return choiceOf(builder.name, builder.source, state, builder.source);
  const current = state.kind === 'exists' ? state.name : '(docker buildx use)';
  const problem = publishProblem(state);
  if (problem === undefined) return choiceOf(current, 'chosen with docker buildx use', state);
  const fallback = await inspectBuilder(ctx, engine, root, FALLBACK);
  return choiceOf(FALLBACK, `the current builder ${current} ${problem}`, fallback ?? state);
}

/** @param source the variable or option that can name another one */
function choiceOf(name: string, why: string, state: BuilderState, source = 'DOCKER_BUILDER'): BuilderChoice {
  if (state.kind === 'absent') {
    const creation = ['buildx', 'create', '--name', name, '--driver', CONTAINER_DRIVER];
    const note = `[builder] ${name}, which is created first (${why})`;
    return { name, driver: CONTAINER_DRIVER, creation, boot: bootArguments(name), note };
  }
  const problem = publishProblem(state);
  if (state.kind === 'exists' && problem === undefined) {
    return { name, driver: state.driver, boot: state.boot, note: `[builder] ${name} (${why})` };
  }
  const text =
    `the builder '${name}' (${why}) ${problem}; set ${source} to another one (docker buildx ls), ` +
    'or to a new name, which is then created';
  throw problemOf(state) === undefined ? usageError(text) : new MissingTool(text);
}

/** Why a builder cannot publish; `undefined` for one that can. */
function publishProblem(state: BuilderState): string | undefined {
  // It keeps one platform of an image, and pushes nothing by its digest.
  const isLocal = state.kind === 'exists' && state.driver === LOCAL_DRIVER;
  return problemOf(state) ?? (isLocal ? 'has the driver docker, which cannot publish' : undefined);
}
