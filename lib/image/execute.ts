// SPDX-License-Identifier: Apache-2.0

/** `tasks/docker-build-image.ts`: words and environment, the engine, and then the one plan that is printed or run. */
/**
 * An image build: what the plan depends on is asked, the binary staged, the build command run.
 *
 * Rooms that build an image in passing resolve a config of their own (`localImageConfig`), ask their engine
 * (`findEngine`), and use `prepareImage` and `carryOutImage`; nothing else of the environment reaches the build then.
 */
/** From what an image build is asked for to commands, and their running. */

import { mkdirSync } from 'node:fs';
import { findCheckout } from '../checkout.ts';
import type { Environment } from '../cli/env.ts';
import type { Workbench } from '../cli/task.ts';
import { askBuilder, verifyPlatforms } from '../engine/buildx-builder.ts';
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
  bench: Workbench,
  target: string,
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { door, env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const config = resolveImageConfig(target, extra, env, root, startDirectory);
  verifyDockerfile(root, config.dockerfile);
  const [engine, { carryOutImage, imageLines, prepareImage }] = await Promise.all([
    detectEngine(door, terminal, env, root),
    meanwhile(() => import('./execute.ts')),
  ]);
  const prepared = await prepareImage(bench, config, engine);
  if (isDryRun) {
    for (const line of imageLines(bench, prepared)) terminal.result(line);
    return;
  }
  await carryOutImage(bench, prepared);
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
  /** Folders that the commands need. */
  readonly folders: readonly string[];
  readonly commands: readonly Command[];
}

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws TaskError where builder, tools or what others have staged cannot give this image
 */
export async function prepareImage(bench: Workbench, config: ImageConfig, engine: Engine): Promise<PreparedImage> {
  const arches = config.arches ?? [engine.arch];
  const stageConfig = { ...config.stage, arches };
  if (!config.isStaged) verifyPrebuilt(stageConfig);
  const [driver, staging] = await Promise.all([
    askBuilder(bench, engine, config),
    config.isStaged ? prepareStage(bench, stageConfig) : undefined,
  ]);
  const folders = driver === 'docker-container' && !config.isCi ? [config.cacheFolder] : [];
  const build = imageBuild(config, arches, folders[0]);
  verifyPlatforms(engine, driver, build.platforms);
  return {
    config,
    engine,
    arches,
    staging,
    stageConfig,
    folders,
    commands: buildCommands(engine, build, config.root),
  };
}

/** The plan, ready to paste. */
export function imageLines({ door }: Workbench, { config, staging, folders, commands }: PreparedImage): string[] {
  const staged = staging === undefined ? [] : dryRunLines(door, staging);
  return [...staged, ...commandLines(door, config.root, folders, commands)];
}

/**
 * Stages and builds.
 *
 * @throws TaskError with the status of the program that failed
 */
export async function carryOutImage(bench: Workbench, prepared: PreparedImage): Promise<void> {
  const { config, stageConfig, staging, folders, commands } = prepared;
  await withStaged(bench, stageConfig, staging, async () => {
    for (const folder of folders) mkdirSync(folder, { recursive: true });
    await runCommands(bench, config.reference, commands);
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

/** A cache that is kept in a folder, read before the build and replaced after it. */
function cacheWords(folder: string): string[] {
  return [
    '--cache-from',
    joinFields(['type=local', `src=${folder}`]),
    '--cache-to',
    joinFields(['type=local', `dest=${folder}`, 'mode=max']),
  ];
}

/** The commands of a build, ready for the door. */
export function buildCommands(engine: Engine, build: ImageBuild, root: string, env: Environment = {}): Command[] {
  return engine.record.buildCommands(build).map((words) => command([engine.program, ...words], { cwd: root, env }));
}

/** Runs the commands of an image build as a part of the task. */
export async function runCommands(bench: Workbench, image: string, commands: readonly Command[]): Promise<void> {
  await bench.terminal.section(`image ${image}`, async () => {
    for (const build of commands) await bench.door.run(build);
  });
}
