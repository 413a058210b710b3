// SPDX-License-Identifier: Apache-2.0

/**
 * Which builder publishes. The one that is named is used as it is, and made where it does not exist; without
 * a name the user's current one, where it can push several platforms, else one called `multiarch`. The
 * user's current builder is never changed.
 */

import type { TaskContext } from '../cli/task.ts';
import { parseBuilderDriver } from '../engine/buildx-builder.ts';
import { question } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { oneLine, usageError } from '../errors.ts';
import { type Command, command } from '../process/command.ts';
import { PUBLISH_VARIABLES, type PublishConfig } from './config.ts';
import { publishingOf } from './engines/index.ts';

const BUILDER_TIMEOUT_MS = 20_000;
const FALLBACK = 'multiarch';
/** The driver of the daemon itself: it keeps one platform of an image, and pushes nothing by its digest. */
const LOCAL_DRIVER = 'docker';
const NEW_DRIVER = 'docker-container';

export interface BuilderChoice {
  /** Undefined where the engine has no builders. */
  readonly name: string | undefined;
  readonly driver: string | undefined;
  /** The platforms that its nodes say they run; empty where they do not say. */
  readonly platforms: readonly string[];
  /** Makes it; undefined where it is there. */
  readonly creation: Command | undefined;
  /** Which one and why, for users. */
  readonly note: string | undefined;
}

/** What a builder says about itself. */
export type BuilderAnswer =
  | {
      readonly kind: 'there';
      readonly name: string;
      readonly driver: string | undefined;
      readonly platforms: readonly string[];
      readonly problem?: string;
    }
  | { readonly kind: 'absent' }
  | { readonly kind: 'silent'; readonly reason: string };

/**
 * Asks for the builder and chooses.
 *
 * @throws usageError where the named builder, or `multiarch`, is there and cannot publish
 */
export async function chooseBuilder(ctx: TaskContext, engine: Engine, config: PublishConfig): Promise<BuilderChoice> {
  if (engine.record.builderProbe(undefined) === undefined) {
    const note = `${engine.record.name} has no builders; ${PUBLISH_VARIABLES.builder} has no effect`;
    const told = config.builder === undefined ? undefined : note;
    return { name: undefined, driver: undefined, platforms: [], creation: undefined, note: told };
  }
  const { builder, root } = config;
  const chosen = builder === undefined ? currentChoice(await probeBuilder(ctx, engine, undefined, root)) : undefined;
  if (chosen?.choice !== undefined) return chosen.choice;
  const name = builder ?? FALLBACK;
  const why = chosen?.why ?? PUBLISH_VARIABLES.builder;
  return namedChoice(name, why, await probeBuilder(ctx, engine, name, root), creation(engine, name, root));
}

/** The user's current builder where it can publish; else why not. */
export function currentChoice(answer: BuilderAnswer): { choice?: BuilderChoice; why: string } {
  if (answer.kind !== 'there') return { why: 'the current builder does not answer' };
  const { driver, name, platforms, problem } = answer;
  if (problem !== undefined) return { why: `the current builder ${name} does not work` };
  if (driver === LOCAL_DRIVER)
    return { why: `the current builder ${name} has the driver docker, which cannot publish` };
  const why = 'chosen with docker buildx use';
  return { choice: { name, driver, platforms, creation: undefined, note: `[builder] ${name} (${why})` }, why };
}

/** @throws usageError for a builder that is there and cannot publish */
export function namedChoice(
  name: string,
  why: string,
  answer: BuilderAnswer,
  make: Command | undefined,
): BuilderChoice {
  if (answer.kind === 'absent') {
    return {
      name,
      driver: NEW_DRIVER,
      platforms: [],
      creation: make,
      note: `[builder] ${name}, which is made first (${why})`,
    };
  }
  const problem = answer.kind === 'silent' ? answer.reason : answer.problem;
  if (problem !== undefined) {
    throw usageError(
      `the builder '${name}' (${why}) does not work: ${oneLine(problem)}; see docker buildx inspect ${name}, ` +
        `or set ${PUBLISH_VARIABLES.builder} to another one`,
    );
  }
  const { driver, platforms } = answer.kind === 'there' ? answer : { driver: undefined, platforms: [] };
  if (driver === LOCAL_DRIVER) {
    throw usageError(
      `the builder '${name}' (${why}) has the driver docker, which cannot publish; set ${PUBLISH_VARIABLES.builder} to ` +
        `one with another driver, to a new name, which is then made, or unset it for ${FALLBACK}`,
    );
  }
  return { name, driver, platforms, creation: undefined, note: `[builder] ${name} (${why})` };
}

function creation(engine: Engine, name: string, root: string): Command | undefined {
  const words = publishingOf(engine.record.name).builderCreation(name);
  return words && command([engine.program, ...words], { cwd: root });
}

async function probeBuilder(ctx: TaskContext, engine: Engine, name: string | undefined, root: string) {
  const words = engine.record.builderProbe(name) ?? [];
  const answer = await ctx.runner.probe(question([engine.program, ...words], root), BUILDER_TIMEOUT_MS);
  if (!answer.ok) return parseRefusal(answer.reason);
  return parseBuilder(answer.output);
}

/** Only a builder that is not there is made; one that is there and broken is not made anew. */
export function parseRefusal(reason: string): BuilderAnswer {
  return /no builder ["'].*["'] found/.test(reason) ? { kind: 'absent' } : { kind: 'silent', reason };
}

/** Reads `buildx inspect`, whose rows are padded as it likes; an error of a node stands in a row of its own. */
export function parseBuilder(text: string): BuilderAnswer {
  const name = /^Name:[ \t]+(\S+)/m.exec(text)?.[1];
  const problem = /^Error:[ \t]+(.+)/m.exec(text)?.[1];
  if (name === undefined) return { kind: 'silent', reason: text };
  const platforms = [...text.matchAll(/^Platforms:[ \t]+(.+)/gm)].flatMap(([, list = '']) => list.split(/[,\s*]+/));
  return {
    kind: 'there',
    name,
    driver: parseBuilderDriver(text),
    platforms,
    ...(problem === undefined ? {} : { problem }),
  };
}

/** What is wanted and not among what the nodes run: they copy files for it, but run no program of it. */
export function foreignPlatforms(choice: BuilderChoice, wanted: readonly string[]): string[] {
  return choice.platforms.length === 0 ? [] : wanted.filter((platform) => !choice.platforms.includes(platform));
}
