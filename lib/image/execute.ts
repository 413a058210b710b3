// SPDX-License-Identifier: Apache-2.0

/** Image builds: what the plan depends on is probed, the binary staged, the build command run. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { isUnknown } from '../cli/dry-run-marks.ts';
import { readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, serverArch, TOKEN_VARIABLES } from '../engine/detect.ts';
import { CONTAINER_DRIVER, forBuilds, probeBuilder, verifyPlatforms } from '../engine/inspect-builder.ts';
import { usageError } from '../errors.ts';
import { whileLocked } from '../fs/lock.ts';
import { makeDirectory } from '../fs/ownership.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { type Command, shellQuote } from '../process/command.ts';
import { type IMAGE_TARGETS, PRODUCT } from '../product.ts';
import type { StageConfig } from '../stage/config.ts';
import { executeStage, prepareStage } from '../stage/execute.ts';
import { artifactsOf, type PreparedStage } from '../stage/plan.ts';
import { dryRunLines, reportLines } from '../stage/report.ts';
import { verifyArtifact } from '../stage/verify-built.ts';
import { resolveImage, resolveImageConfig, verifyDockerfile } from './config.ts';
import { cacheOptions, commandLines, destinationText, imageCommands, imagePlaces } from './plan.ts';

/** Builds the image that `target` names, or prints the plan. @param extra options for the engine's build command */
export async function buildImage(
  ctx: RunnerContext,
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { runner, terminal } = ctx;
  const { caches, commands, config, engine, stage, staging } = await planImage(ctx, target, extra);
  if (isDryRun) {
    const staged = staging === undefined ? [] : dryRunLines(runner, staging);
    const created = caches.map((cache) => `# creates ${cache}`);
    return terminal.result(...staged, ...created, ...commandLines(ctx, commands));
  }
  for (const cache of caches) makeDirectory(cache);
  await withStaged(ctx, stage, staging, () => runImageCommands(ctx, config.reference, commands));
  const { output } = config.image;
  if (output.kind !== 'output') terminal.result(config.reference);
  const platforms = stage.arches.map((arch) => `linux/${arch}`).join(', ');
  const where = destinationText(output, engine.record.name);
  terminal.say(`done: ${config.reference} for ${platforms} ${where}; ${terminal.timings()}`);
}

/** Starts nothing but probes. @throws TaskError where engine, builder, tools or what is staged cannot give the image */
export async function planImage(ctx: RunnerContext, target: (typeof IMAGE_TARGETS)[number], extra: readonly string[]) {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveImageConfig(target, extra, env, root, startDirectory);
  verifyDockerfile(config.image.dockerfile);
  const engine = await detectEngine(ctx, root, forBuilds(config.builder, config.image.output.kind === 'load'));
  const problems = new Problems();
  const remedy = 'set DOCKER_PLATFORM to linux/amd64 or linux/arm64, or use another server';
  const arches = config.arches ?? [serverArch(engine, remedy)];
  const stage = { root, host: thisHost(), components: [config.component], arches, build: config.build };
  const [probed, staging] = await Promise.all([
    problems.attemptAsync(() => probeBuilder(ctx, engine, root, config.builder)),
    problems.attemptAsync(() => prepareBinaries(ctx, stage, config.isStaged)),
  ]);
  const { cacheDirectory } = config;
  const caches = probed?.driver === CONTAINER_DRIVER && cacheDirectory !== undefined ? [cacheDirectory] : [];
  const platforms = arches.map((arch) => `linux/${arch}`);
  const image = { ...config.image, platforms, caches: cacheOptions(probed?.driver, cacheDirectory) };
  if (probed !== undefined) problems.attempt(() => verifyPlatforms(probed, platforms));
  notePlaces(problems, imagePlaces(caches, staging));
  problems.throwIfAny(terminal);
  return { config, engine, stage, staging, caches, commands: imageCommands(engine, image, startDirectory) };
}

export async function runImageCommands(
  { runner, terminal }: RunnerContext,
  image: string,
  commands: readonly Command[],
): Promise<void> {
  await terminal.section(`image ${image}`, async () => {
    for (const command of commands) await runner.run(command);
  });
}

/**
 * Builds the image that CI runs in, or prints the plan; stages nothing. The build gets the GitHub token as a secret, by
 * the name of the variable that holds it: the value is in the environment of that one child, and nowhere else.
 */
export async function buildCiImage(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const { builder, image, reference } = resolveImage(undefined, extra, env, root, startDirectory);
  const token = TOKEN_VARIABLES.find((name) => readVariable(env, name) !== undefined);
  // By this id the Dockerfile's RUN finds it.
  const build = { ...image, secrets: token === undefined ? [] : [`id=${TOKEN_VARIABLES[0]},env=${token}`] };
  verifyDockerfile(build.dockerfile);
  const engine = await detectEngine(ctx, root);
  verifyPlatforms(await probeBuilder(ctx, engine, root, builder), build.platforms);
  const commands = imageCommands(engine, build, startDirectory);
  if (isDryRun) return terminal.result(...commandLines(ctx, commands));
  await runImageCommands(ctx, reference, commands);
  terminal.result(reference);
  terminal.say(`done: ${reference} ${destinationText(build.output, engine.record.name)}; ${terminal.timings()}`);
}

/**
 * Prepares the staging; else verifies what others have staged, as what we stage is verified.
 * @throws TaskError: 2 for a binary that is not there or cannot be started in its image, 1 for another one than wanted
 */
export async function prepareBinaries(
  ctx: RunnerContext,
  config: StageConfig,
  isStaged: boolean,
): Promise<PreparedStage | undefined> {
  if (isStaged) return prepareStage(ctx, config);
  for (const artifact of artifactsOf(config).filter(({ arch }) => !isUnknown(arch))) {
    const { component, path } = artifact;
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isFile() !== true) {
      const why = 'is not there, and nothing is staged here (CI or PREBUILT_AUTO_STAGE=0)';
      throw usageError(`${path} ${why}; run tasks/stage.ts first, or unset them`);
    }
    verifyArtifact(artifact, path);
    // The gateway's image keeps the mode, and runs as another user than the file's; the supervisor's sets it.
    if (component.name === 'gateway' && (found.mode & 0o111) !== 0o111) {
      const cannot = 'cannot be executed by all users, nor could it in its image';
      throw usageError(`${path} ${cannot}; run: chmod 755 ${shellQuote(path)}`);
    }
  }
  return undefined;
}

/**
 * Stages where that is planned, and runs a body that builds from it. Two builds of one component wait for each other,
 * so that none copies the binary of the other, which may have another version.
 */
export async function withStaged(
  ctx: RunnerContext,
  { components, root }: StageConfig,
  prepared: PreparedStage | undefined,
  body: () => Promise<void>,
): Promise<void> {
  if (prepared === undefined) return body();
  const build = async () => {
    const staged = await executeStage(ctx, prepared);
    for (const line of reportLines(root, staged)) ctx.terminal.say(line);
    await body();
  };
  // Always in one order, so that no two builds wait for each other.
  const names = components.map(({ name }) => name).sort();
  const task = `image ${names.join(' ')}`;
  const locked = names.reduceRight<() => Promise<void>>((inner, name) => {
    const path = join(root, PRODUCT.prebuiltDirectory, '..', `.image-${name}.lock`);
    const remedy = 'set OPENSHELL_ROOT to a checkout on another file system';
    return () => whileLocked(ctx, { path, remedy, task, other: `another build of the image ${name}` }, inner);
  }, build);
  return locked();
}
