// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a publish: its images, its references, and its commands in their order. All is built before anything is
 * pushed under a tag, content is pushed before a tag of the release is set, and tags are set from digests. A run and a
 * dry run call the same functions; `EngineCommands` decides whether a command is started or printed.
 */

import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { isUnknown } from '../cli/dry-run-marks.ts';
import type { TaskContext } from '../cli/task.ts';
import { CONTAINER_DRIVER } from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { dockerfileOf } from '../image/config.ts';
import { cacheOptions } from '../image/plan.ts';
import { verifyTag } from '../image/reference.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import { COMPONENTS, type Component } from '../product.ts';
import type { StageConfig } from '../stage/config.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { dryRunLines as stageLines } from '../stage/report.ts';
import type { BuilderChoice } from './choose-builder.ts';
import type { PublishConfig } from './config.ts';
import {
  type Content,
  type EngineCommands,
  isSameContent,
  PUBLISHING,
  type Published,
  type PublishedImage,
  type PushContent,
} from './engines.ts';

/** The components that are published. */
export const PUBLISHED: readonly Component[] = [COMPONENTS.gateway, COMPONENTS.supervisor];

/** Directories of this kind belong to publishes; the next one removes those of runs that were killed. */
export const SCRATCH_PREFIX = 'openshell-publish-';

/** What a publish is planned with. */
interface Chosen {
  readonly engine: Engine;
  readonly builder: BuilderChoice;
  /** What the images copy. */
  readonly stage: StageConfig;
  /** `undefined` where others have staged it. */
  readonly staging: PreparedStage | undefined;
  /** A name that no other run has. */
  readonly run: string;
}

/** A publish that is planned: nothing but probes has been started. */
export type PublishPlan = ReturnType<typeof planPublish>;

/** @throws usageError where the tag of a single platform is not a tag, or is one of those that were asked for */
export function planPublish(config: PublishConfig, chosen: Chosen, temporary: string) {
  const { builder, engine, run } = chosen;
  const publishing = PUBLISHING[engine.record.name];
  const { cacheDirectory } = config;
  // A builder's container can be removed with its cache; a directory stays.
  const isCached = builder.driver === CONTAINER_DRIVER && cacheDirectory !== undefined;
  const caches = isCached ? PUBLISHED.map(({ name }) => join(cacheDirectory, name)) : [];
  const unknownCache = isUnknown(builder.driver) && cacheDirectory !== undefined ? [builder.driver ?? ''] : [];
  const images = PUBLISHED.map(({ name }, index) => ({
    component: name,
    repository: `${config.registry}/${name}`,
    mainTag: config.tags[0],
    platforms: config.arches.map((arch) => `linux/${arch}`),
    build: {
      context: config.root,
      dockerfile: dockerfileOf(config.root, name),
      target: name,
      builder: builder.name,
      caches: [...caches.slice(index, index + 1).flatMap(cacheOptions), ...unknownCache],
      secrets: [],
      extra: config.extra,
    },
    epoch: config.epoch,
    run,
  }));
  const platforms = images.flatMap((image) =>
    publishing.platformTags(image).map((tag) => `${image.repository}:${verifyPlatformTag(config, tag)}`),
  );
  const release = config.tags.flatMap((tag) => images.map(({ repository }) => `${repository}:${tag}`));
  const scratch = join(temporary, `${SCRATCH_PREFIX}${run}`);
  // Those of single platforms carry content, and are set first.
  const references = [...platforms, ...release];
  return { config, ...chosen, publishing, scratch, caches, images, references };
}

function verifyPlatformTag({ tags }: PublishConfig, tag: string): string {
  if (!tags.includes(tag)) return verifyTag('IMAGE_TAG with its platform', tag);
  throw usageError(`EXTRA_DOCKER_TAGS has ${tag}, which is the tag of one platform's image here; choose another one`);
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

/** Builds all images, and sets no reference of the registry. Gives what pushes the content of each. */
export async function buildImages(engine: EngineCommands, { images, publishing }: PublishPlan): Promise<PushContent[]> {
  const built: PushContent[] = [];
  for (const image of images) built.push(await publishing.build(engine, image));
  return built;
}

/** Pushes the content of all images, and then sets the tags. @returns all references, in the order of the plan */
export async function publishBuilt(
  { config, images }: PublishPlan,
  built: readonly PushContent[],
): Promise<Published[]> {
  const pushed = [];
  for (const push of built) pushed.push(await push());
  const published = pushed.flatMap(({ platforms }) => platforms);
  // Tag by tag, so that both components have one as soon as possible.
  for (const tag of config.tags) {
    for (const [index, { images: content, setTag }] of pushed.entries()) {
      const { component, platforms, repository } = images[index] as PublishedImage;
      const reference = `${repository}:${tag}`;
      const digest = await setTag(reference);
      published.push({ component, reference, platforms, content: { digest, images: content } });
    }
  }
  return published;
}

/** Every command in its order, ready to paste; what is known only when it runs stands in angle brackets. */
export async function dryRunLines(ctx: RunnerContext, plan: PublishPlan): Promise<string[]> {
  const { builder, caches, references, scratch, staging } = plan;
  const lines: string[] = [];
  const print = async (command: Command) => void lines.push(ctx.runner.describe(command));
  const engine = engineCommands(ctx, plan, print, (what) => `<${what}>`);
  if (builder.creation !== undefined) await engine.run(builder.creation);
  if (builder.boot !== undefined) await engine.run(builder.boot);
  lines.push(...(staging === undefined ? ['# verifies the staged binaries'] : stageLines(ctx.runner, staging)));
  lines.push(...[scratch, ...caches].map((directory) => `# creates ${directory}`));
  lines.push(`cd ${shellQuote(ctx.startDirectory)}`);
  await publishBuilt(plan, await buildImages(engine, plan));
  return [...lines, ...references.map((reference) => `# reads back ${reference}`)];
}

/** The references in columns, with whether they were there before and pointed at something else. */
export function tableLines(
  published: readonly Published[],
  before: ReadonlyMap<string, { readonly kind: string; readonly content?: Content | undefined }>,
): string[] {
  const rows = published.map(({ component, content, platforms, reference }) => {
    const old = before.get(reference);
    const isSame = old?.content !== undefined && isSameContent(old.content, content);
    const state = old?.kind === 'absent' ? 'new' : isSame ? 'unchanged' : 'moved';
    return [component, reference, content.digest ?? '', platforms.join(','), state];
  });
  const all = [['component', 'reference', 'digest', 'platforms', 'state'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return all.map((row) => line(row).trimEnd());
}

/** How far a failed publish has come with all its references: those that are done, the current one, and the rest. */
export function progressText(all: readonly string[], done: readonly string[], current: string | undefined): string {
  const rest = all.filter((reference) => reference !== current && !done.includes(reference));
  return [
    done.length === 0 ? 'no reference was set before that' : `set before that: ${done.join(', ')}`,
    ...(current === undefined ? [] : [`${current} may have been set or not`]),
    ...(rest.length === 0 ? [] : [`as they were: ${rest.join(', ')}`]),
    'run it again to finish',
  ].join('; ');
}
