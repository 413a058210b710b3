// SPDX-License-Identifier: Apache-2.0

/** Building one image: the engine is asked, the binary staged, and the build command run, from one plan. */

import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { findCheckout } from '../checkout.ts';
import { type Command, command } from '../command.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine, ImageBuild } from '../engine/engine.ts';
import type { Environment } from '../environment.ts';
import { oneLine, usageError } from '../errors.ts';
import { type Arch, thisHost } from '../platform.ts';
import { resolveStageConfig, type StageConfig } from '../stage/config.ts';
import { artefactsOf } from '../stage/plan.ts';
import { dryRunLines } from '../stage/report.ts';
import { carryOut, prepareStage } from '../stage/run.ts';
import { verifyArtefact } from '../stage/verify.ts';
import type { Workbench } from '../task.ts';
import { parseBuilderDriver } from './builder.ts';
import { type ImageConfig, resolveImageConfig } from './config.ts';

const BUILDER_TIMEOUT_MS = 20_000;

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
  const dockerfile = `deploy/docker/Dockerfile.${config.component.name}`;
  verifyDockerfile(root, dockerfile);
  const engine = await detectEngine(door, terminal, env, root);
  const arches = config.arches ?? [engine.arch];
  const stageConfig = stageConfigOf(bench, config, arches);
  const [driver, prepared] = await Promise.all([
    askBuilder(bench, engine, config),
    config.isStaged ? prepareStage(bench, stageConfig) : undefined,
  ]);
  const hasLocalCache = driver === 'docker-container' && !config.isCi;
  const commands = buildCommands(engine, imageBuild(config, dockerfile, arches, hasLocalCache), root);
  if (isDryRun) {
    if (prepared !== undefined) for (const line of dryRunLines(door, prepared)) terminal.result(line);
    for (const build of commands) terminal.result(door.describe(build));
    return;
  }
  if (prepared !== undefined) await carryOut(bench, prepared);
  else verifyPrebuilt(stageConfig);
  if (hasLocalCache) mkdirSync(config.cacheFolder, { recursive: true });
  await terminal.section(`image ${config.reference}`, async () => {
    for (const build of commands) await door.run(build);
  });
  terminal.say(
    `done: ${config.reference} for ${arches.map((arch) => `linux/${arch}`).join(', ')}; ${terminal.timings()}`,
  );
}

/** The staging of this image: its component, for exactly the platforms that are built. */
function stageConfigOf(bench: Workbench, config: ImageConfig, arches: readonly Arch[]): StageConfig {
  const { env, startDirectory } = bench;
  const platforms: Environment = { PREBUILT_ARCH: undefined, DOCKER_PLATFORM: undefined };
  const resolved = resolveStageConfig(
    config.component.name,
    { ...env, ...platforms },
    config.root,
    startDirectory,
    thisHost(),
  );
  return { ...resolved, arches };
}

/** What others have staged is held to the same: no image gets an old or a foreign binary unseen. */
export function verifyPrebuilt(config: StageConfig): void {
  const artefacts = artefactsOf(config);
  const missing = artefacts.filter(({ path }) => statSync(path, { throwIfNoEntry: false })?.isFile() !== true);
  if (missing.length > 0) {
    throw usageError(
      `${missing.map(({ path }) => path).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not there, and nothing is ` +
        'staged here (CI or PREBUILT_AUTO_STAGE=0); run tasks/stage.ts first, or unset them',
    );
  }
  for (const artefact of artefacts) verifyArtefact(artefact, artefact.path);
}

function imageBuild(
  config: ImageConfig,
  dockerfile: string,
  arches: readonly Arch[],
  hasLocalCache: boolean,
): ImageBuild {
  const cache = config.cacheFolder;
  return {
    dockerfile,
    target: config.component.name,
    tags: [config.reference],
    platforms: arches.map((arch) => `linux/${arch}`),
    builder: config.builder,
    caches: hasLocalCache
      ? ['--cache-from', `type=local,src=${cache}`, '--cache-to', `type=local,dest=${cache},mode=max`]
      : [],
    secrets: [],
    extra: config.extra,
    output:
      config.output !== undefined
        ? { kind: 'output', value: config.output }
        : { kind: config.isPushed ? 'push' : 'load' },
  };
}

/** The commands of a build, ready for the door. */
export function buildCommands(engine: Engine, build: ImageBuild, root: string, env: Environment = {}): Command[] {
  return engine.record
    .buildCommands(build)
    .map((words) => command([engine.program, ...words], { cwd: root, env: { DOCKER_BUILDKIT: '1', ...env } }));
}

/**
 * The driver of the builder that would build; `undefined` where the engine has no builders.
 *
 * @throws usageError with buildx's own words for a builder that is not there
 */
export async function askBuilder(
  bench: Workbench,
  engine: Engine,
  config: { readonly root: string; readonly builder: string | undefined },
): Promise<string | undefined> {
  const words = engine.record.builderQuestion(config.builder);
  if (words === undefined) return undefined;
  const answer = await bench.door.probe(command([engine.program, ...words], { cwd: config.root }), BUILDER_TIMEOUT_MS);
  if (answer.ok) return parseBuilderDriver(answer.output);
  const name =
    config.builder === undefined ? 'the builder chosen with docker buildx use' : `DOCKER_BUILDER '${config.builder}'`;
  throw usageError(`${name} does not answer: ${oneLine(answer.reason)}; see docker buildx ls, or unset DOCKER_BUILDER`);
}

/** @throws usageError where the checkout has no such Dockerfile */
export function verifyDockerfile(root: string, dockerfile: string): void {
  if (statSync(join(root, dockerfile), { throwIfNoEntry: false })?.isFile() === true) return;
  throw usageError(`${dockerfile} is not in ${root}; check OPENSHELL_ROOT`);
}
