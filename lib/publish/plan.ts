// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a publish: all is built before anything is pushed under a tag, and content is pushed before a tag of the
 * release is set. A run and a dry run call the same functions; `EngineCommands` starts a command or prints it.
 */

import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import type { TaskContext } from '../cli/task.ts';
import { CONTAINER_DRIVER } from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { dockerfileOf } from '../image/config.ts';
import { cacheOptions } from '../image/plan.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import { COMPONENTS, type Component } from '../product.ts';
import type { StageConfig } from '../stage/config.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import type { PublishConfig } from './config.ts';
import { type EngineCommands, PUBLISHING, type Published, type PublishedImage, type PushContent } from './engines.ts';

export const PUBLISHED: readonly Component[] = [COMPONENTS.gateway, COMPONENTS.supervisor];

export const SCRATCH_PREFIX = 'openshell-publish-';

/** The builder that publishes; nothing is known of it where the engine has no builders. */
export interface BuilderChoice {
  readonly name?: string;
  readonly driver?: string | undefined;
  /** The arguments that create and start it, without making it the current one. */
  readonly creation?: readonly string[];
  /** Which one and why, for users. */
  readonly note?: string;
}

interface Chosen {
  readonly engine: Engine;
  readonly builder: BuilderChoice;
  readonly stage: StageConfig;
  /** `undefined` where others have staged it. */
  readonly staging: PreparedStage | undefined;
  readonly run: string;
}

export type PublishPlan = ReturnType<typeof planPublish>;

export function planPublish(config: PublishConfig, chosen: Chosen, temporary: string) {
  const { builder, engine, run } = chosen;
  const publishing = PUBLISHING[engine.record.name];
  const cacheOf = (name: string) => config.cacheDirectory && join(config.cacheDirectory, name);
  const images = PUBLISHED.map(({ name }) => ({
    component: name,
    repository: `${config.registry}/${name}`,
    mainTag: config.tags[0],
    platforms: config.arches.map((arch) => `linux/${arch}`),
    build: {
      context: config.root,
      dockerfile: dockerfileOf(config.root, name),
      target: name,
      builder: builder.name,
      caches: cacheOptions(builder.driver, cacheOf(name)),
      secrets: [],
      extra: config.extra,
    },
    epoch: config.epoch,
    run,
  }));
  return {
    config,
    ...chosen,
    publishing,
    scratch: join(temporary, `${SCRATCH_PREFIX}${run}`),
    caches: builder.driver === CONTAINER_DRIVER ? PUBLISHED.flatMap(({ name }) => cacheOf(name) ?? []) : [],
    images,
  };
}

/** @param start starts or prints a command, which sets a reference @param read gives what a command left in a file */
export function engineCommands(
  { env, startDirectory }: Pick<TaskContext, 'env' | 'startDirectory'>,
  { engine, scratch }: PublishPlan,
  start: (command: Command, sets: string | undefined) => Promise<void>,
  read: (what: string, file: string) => string,
): EngineCommands {
  // The time of the images is in the arguments; newer engines refuse to have it twice.
  const changes = env.SOURCE_DATE_EPOCH === undefined ? {} : { SOURCE_DATE_EPOCH: undefined };
  const run = (args: readonly string[], sets?: string) =>
    start(cmd({ cwd: startDirectory, env: changes })`${engine.program} ${args}`, sets);
  const runFor: EngineCommands['runFor'] = async (what, args, sets) => {
    const file = join(scratch, what.replaceAll(/[ /]/g, '-'));
    await run(args(file), sets);
    return read(what, file);
  };
  return { run, runFor };
}

/** Builds all images, and sets no reference of the registry. */
export async function buildImages(engine: EngineCommands, { images, publishing }: PublishPlan): Promise<PushContent[]> {
  const built: PushContent[] = [];
  for (const image of images) built.push(await publishing.build(engine, image));
  return built;
}

/** Pushes the content of all images, and then sets the tags. */
export async function publishBuilt(
  { config, images }: PublishPlan,
  built: readonly PushContent[],
): Promise<Published[]> {
  const contents = [];
  for (const push of built) contents.push(await push());
  const published = contents.flatMap(({ pushed }) => pushed);
  // Tag by tag, so that both components have one as soon as possible.
  for (const tag of config.tags) {
    for (const [index, { setTag }] of contents.entries()) {
      const { platforms, repository } = images[index] as PublishedImage;
      const reference = `${repository}:${tag}`;
      published.push({ reference, digest: await setTag(reference), platforms });
    }
  }
  return published;
}

/** Every command in its order, ready to paste; what is known only when it runs stands in angle brackets. */
export async function dryRunLines(ctx: RunnerContext, plan: PublishPlan): Promise<string[]> {
  const { builder, caches, scratch, staging } = plan;
  const lines: string[] = [];
  const print = async (command: Command) => void lines.push(ctx.runner.describe(command));
  const engine = engineCommands(ctx, plan, print, (what) => `<${what}>`);
  if (builder.creation !== undefined) await engine.run(builder.creation);
  lines.push(...(staging === undefined ? ['# verifies the staged binaries'] : stageLines(ctx.runner, staging)));
  lines.push(...[scratch, ...caches].map((directory) => `# creates ${directory}`));
  lines.push(`cd ${shellQuote(ctx.startDirectory)}`);
  await publishBuilt(plan, await buildImages(engine, plan));
  return lines;
}
