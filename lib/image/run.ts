// SPDX-License-Identifier: Apache-2.0

/**
 * An image build: what the plan depends on is asked, the binary staged, the build command run.
 *
 * Rooms that build an image in passing resolve a config of their own (`localImageConfig`), ask their engine
 * (`findEngine`), and use `prepareImage` and `carryOutImage`; nothing else of the environment reaches the build then.
 */

import { mkdirSync } from 'node:fs';
import type { Command } from '../command.ts';
import type { Engine, ImageBuild } from '../engine/engine.ts';
import type { Arch } from '../platform.ts';
import type { StageConfig } from '../stage/config.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { prepareStage } from '../stage/prepare.ts';
import { dryRunLines } from '../stage/report.ts';
import type { Workbench } from '../task.ts';
import { askBuilder, verifyPlatforms } from './builder.ts';
import { buildCommands, runCommands } from './commands.ts';
import type { ImageConfig } from './config.ts';
import { joinFields } from './output.ts';
import { commandLines } from './report.ts';
import { verifyPrebuilt, withStaged } from './staged.ts';

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
