// SPDX-License-Identifier: Apache-2.0

/** `tasks/docker-build-image.ts`: words and environment, the engine, and then the one plan that is printed or run. */
/**
 * An image build: what the plan depends on is asked, the binary staged, the build command run.
 *
 * Rooms that build an image in passing resolve a config of their own (`localImageConfig`), ask their engine
 * (`findEngine`), and use `prepareImage` and `executeImage`; nothing else of the environment reaches the build then.
 */
/** From what an image build is asked for to commands, and their running. */

import { mkdirSync } from 'node:fs';
import { findCheckout } from '../checkout.ts';
import type { Environment } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { probeBuilder, verifyPlatforms } from '../engine/buildx-builder.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine, ImageBuild } from '../engine/types.ts';
import type { Arch } from '../host.ts';
import { meanwhile } from '../meanwhile.ts';
import { type Command, command } from '../process/command.ts';
import type { StageConfig } from '../stage/config.ts';
import { prepareStage } from '../stage/execute.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { dryRunLines } from '../stage/report.ts';
import { type ImageConfig, resolveImageConfig, verifyDockerfile } from './config.ts';
import { joinFields } from './output.ts';
import { commandLines, destinationText } from './report.ts';
import { verifyPrebuilt, withStaged } from './staged-binaries.ts';

/**
 * Builds the image that `target` names, or prints the plan.
 *
 * @param target one of `IMAGE_TARGETS`
 * @param extra words for the engine's build command
 * @throws TaskError: 2 before anything is built, else the failed program's own status
 */
export async function buildImage(
  ctx: TaskContext,
  target: string,
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveImageConfig(target, extra, env, root, startDirectory);
  verifyDockerfile(root, config.dockerfile);
  const [engine, { executeImage, imageLines, prepareImage }] = await Promise.all([
    detectEngine(runner, terminal, env, root),
    meanwhile(() => import('./execute.ts')),
  ]);
  const prepared = await prepareImage(ctx, config, engine);
  if (isDryRun) {
    for (const line of imageLines(ctx, prepared)) terminal.result(line);
    return;
  }
  await executeImage(ctx, prepared);
  if (config.output.kind !== 'output') terminal.result(config.reference);
  const platforms = prepared.arches.map((arch) => `linux/${arch}`).join(', ');
  const where = destinationText(config.output, engine.record.name);
  terminal.say(`done: ${config.reference} for ${platforms} ${where}; ${terminal.timings()}`);
}

/** An image build that is planned: nothing but questions has been started. */
export interface PreparedImage {
  readonly config: ImageConfig;
  readonly engine: Engine;
  readonly arches: readonly Arch[];
  /** `undefined` where others have staged. */
  readonly staging: PreparedStage | undefined;
  readonly stageConfig: StageConfig;
  /** Directories that the commands need. */
  readonly directories: readonly string[];
  readonly commands: readonly Command[];
}

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws TaskError where builder, tools or what others have staged cannot give this image
 */
export async function prepareImage(ctx: TaskContext, config: ImageConfig, engine: Engine): Promise<PreparedImage> {
  const arches = config.arches ?? [engine.arch];
  const stageConfig = { ...config.stage, arches };
  if (!config.isStaged) verifyPrebuilt(stageConfig);
  const [driver, staging] = await Promise.all([
    probeBuilder(ctx, engine, config),
    config.isStaged ? prepareStage(ctx, stageConfig) : undefined,
  ]);
  const directories = driver === 'docker-container' && !config.isCi ? [config.cacheDirectory] : [];
  const build = imageBuild(config, arches, directories[0]);
  verifyPlatforms(engine, driver, build.platforms);
  return {
    config,
    engine,
    arches,
    staging,
    stageConfig,
    directories,
    commands: buildCommands(engine, build, config.root),
  };
}

/** The plan, ready to paste. */
export function imageLines(
  { runner }: TaskContext,
  { config, staging, directories, commands }: PreparedImage,
): string[] {
  const staged = staging === undefined ? [] : dryRunLines(runner, staging);
  return [...staged, ...commandLines(runner, config.root, directories, commands)];
}

/**
 * Stages and builds.
 *
 * @throws TaskError with the status of the program that failed
 */
export async function executeImage(ctx: TaskContext, prepared: PreparedImage): Promise<void> {
  const { config, stageConfig, staging, directories, commands } = prepared;
  await withStaged(ctx, stageConfig, staging, async () => {
    for (const directory of directories) mkdirSync(directory, { recursive: true });
    await runCommands(ctx, config.reference, commands);
  });
}

function imageBuild(config: ImageConfig, arches: readonly Arch[], cache: string | undefined): ImageBuild {
  return {
    dockerfile: config.dockerfile,
    target: config.target,
    tags: [config.reference, ...config.otherTags],
    platforms: arches.map((arch) => `linux/${arch}`),
    builder: config.builder,
    caches: cache === undefined ? [] : cacheWords(cache),
    secrets: [],
    extra: config.extra,
    output: config.output,
  };
}

/** A cache that is kept in a directory, read before the build and replaced after it. */
function cacheWords(directory: string): string[] {
  return [
    '--cache-from',
    joinFields(['type=local', `src=${directory}`]),
    '--cache-to',
    joinFields(['type=local', `dest=${directory}`, 'mode=max']),
  ];
}

/** The commands of a build, ready for the runner. */
export function buildCommands(engine: Engine, build: ImageBuild, root: string, env: Environment = {}): Command[] {
  return engine.record.buildCommands(build).map((words) => command([engine.program, ...words], { cwd: root, env }));
}

/** Runs the commands of an image build as a part of the task. */
export async function runCommands(ctx: TaskContext, image: string, commands: readonly Command[]): Promise<void> {
  await ctx.terminal.section(`image ${image}`, async () => {
    for (const build of commands) await ctx.runner.run(build);
  });
}
