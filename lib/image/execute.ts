// SPDX-License-Identifier: Apache-2.0

/** An image build: what the plan depends on is probed, the binary staged, the build command run. */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { isUnknown } from '../cli/unknowns.ts';
import { detectEngine, serverArch } from '../engine/detect.ts';
import { forBuilds, probeBuilder, verifyPlatforms } from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import { makeDirectory } from '../fs/ownership.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import type { Command } from '../process/command.ts';
import type { IMAGE_TARGETS } from '../product.ts';
import { prepareStage } from '../stage/execute.ts';
import { type ImageConfig, resolveImageConfig, verifyDockerfile } from './config.ts';
import { imageBuild, imageCommands, imagePlaces, type PreparedImage } from './plan.ts';
import { destinationText, imageLines } from './report.ts';
import { verifyPrebuilt, withStaged } from './staged-binaries.ts';

const OTHER_ARCH = 'set DOCKER_PLATFORM to linux/amd64 or linux/arm64, or use another server';

/**
 * Builds the image that `target` names, or prints the plan.
 * @param extra options for the engine's build command
 * @throws TaskError: 2 before anything is built, else the failed program's own status
 */
export async function buildImage(
  ctx: RunnerContext,
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { terminal } = ctx;
  const { config, engine, prepared } = await planImage(ctx, target, extra);
  if (isDryRun) return terminal.result(...imageLines(ctx, prepared));
  const { cache, commands, stage, staging } = prepared;
  if (cache !== undefined) makeDirectory(cache);
  await withStaged(ctx, stage, staging, () => runImageCommands(ctx, config.reference, commands));
  const { output } = config.image;
  if (output.kind !== 'output') terminal.result(config.reference);
  const platforms = stage.arches.map((arch) => `linux/${arch}`).join(', ');
  const where = destinationText(output, engine.record.name);
  terminal.say(`done: ${config.reference} for ${platforms} ${where}; ${terminal.timings()}`);
}

/**
 * Plans a build; nothing but probes is started.
 * @throws TaskError with all that is wrong where engine, builder, tools or what others have staged cannot give it
 */
export async function planImage(ctx: RunnerContext, target: (typeof IMAGE_TARGETS)[number], extra: readonly string[]) {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveImageConfig(target, extra, env, root, startDirectory);
  verifyDockerfile(config.image.dockerfile);
  const engine = await detectEngine(ctx, root, forBuilds(config.builder, config.image.output.kind === 'load'));
  const problems = new Problems();
  const prepared = await prepareImage(ctx, config, engine, problems);
  problems.throwIfAny(terminal);
  if (prepared === undefined) throw new TypeError('an image that is not planned has a problem');
  return { config, engine, prepared };
}

/** Asks builder, tools and what others have staged; whatever is wrong becomes one of the problems. */
async function prepareImage(
  ctx: RunnerContext,
  config: ImageConfig,
  engine: Engine,
  problems: Problems,
): Promise<PreparedImage | undefined> {
  const { build, component, root } = config;
  const arches = config.arches ?? [serverArch(engine, OTHER_ARCH)];
  const stage = { root, host: thisHost(), components: [component], arches, build };
  if (!config.isStaged) problems.attempt(() => verifyPrebuilt(stage));
  const [probed, staging] = await Promise.all([
    problems.attemptAsync(() => probeBuilder(ctx, engine, root, config.builder)),
    problems.attemptAsync(async () => (config.isStaged ? prepareStage(ctx, stage) : undefined)),
  ]);
  const driver = probed?.driver;
  const cache = driver === 'docker-container' ? config.cacheDirectory : undefined;
  const unknown = isUnknown(driver) && config.cacheDirectory !== undefined ? [driver ?? ''] : [];
  const image = imageBuild(config, arches, cache, unknown);
  const commands = problems.attempt(() => {
    if (probed !== undefined) verifyPlatforms(probed, image.platforms);
    return imageCommands(engine, image, ctx.startDirectory);
  });
  const prepared = commands && { stage, staging, cache, commands };
  if (prepared !== undefined) notePlaces(problems, imagePlaces(prepared));
  return prepared;
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
