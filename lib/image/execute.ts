// SPDX-License-Identifier: Apache-2.0

/** Image builds: what the plan depends on is probed, the binary staged, the build command run. */

import { readlinkSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { isUnknown } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable, textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, serverArch, TOKEN_VARIABLES } from '../engine/detect.ts';
import { forBuilds, probeBuilder, verifyPlatforms } from '../engine/inspect-builder.ts';
import { failure, usageError } from '../errors.ts';
import { whileLocked } from '../fs/lock.ts';
import { look, makeDirectory } from '../fs/ownership.ts';
import { ancestorsOf, fileIdentity } from '../fs/paths.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { type Command, cmd, shellQuote } from '../process/command.ts';
import { type IMAGE_TARGETS, PRODUCT } from '../product.ts';
import type { StageConfig } from '../stage/config.ts';
import { executeStage, prepareStage } from '../stage/execute.ts';
import { type Artifact, artifactsOf, type PreparedStage } from '../stage/plan.ts';
import { reportLines } from '../stage/report.ts';
import { verifyArtifact } from '../stage/verify-built.ts';
import { resolveImage, resolveImageConfig, verifyDockerfile } from './config.ts';
import { cacheOptions, commandLines, destinationText, imageCommands, imageLines, imagePlaces } from './plan.ts';

const OTHER_ARCH = 'set DOCKER_PLATFORM to linux/amd64 or linux/arm64, or use another server';

/** Builds the image that `target` names, or prints the plan. @param extra options for the engine's build command */
export async function buildImage(
  ctx: RunnerContext,
  target: (typeof IMAGE_TARGETS)[number],
  extra: readonly string[],
  isDryRun: boolean,
): Promise<void> {
  const { terminal } = ctx;
  const { boot, cache, commands, config, engine, stage, staging } = await planImage(ctx, target, extra);
  if (isDryRun) return terminal.result(...imageLines(ctx, boot, staging, cache, commands));
  for (const command of boot) await ctx.runner.run(command);
  if (cache !== undefined) makeDirectory(cache);
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
  const arches = config.arches ?? [serverArch(engine, OTHER_ARCH)];
  const stage = { root, host: thisHost(), components: [config.component], arches, build: config.build };
  if (!config.isStaged) problems.attempt(() => verifyPrebuilt(ctx, stage, config.unused));
  const [probed, staging] = await Promise.all([
    problems.attemptAsync(() => probeBuilder(ctx, engine, root, config.builder)),
    problems.attemptAsync(async () => (config.isStaged ? prepareStage(ctx, stage) : undefined)),
  ]);
  const driver = probed?.driver ?? '';
  const cache = driver === 'docker-container' ? config.cacheDirectory : undefined;
  const unknown = isUnknown(driver) && config.cacheDirectory !== undefined ? [driver] : [];
  const platforms = arches.map((arch) => `linux/${arch}`);
  const image = { ...config.image, platforms, caches: cache === undefined ? unknown : cacheOptions(cache) };
  if (probed !== undefined) problems.attempt(() => verifyPlatforms(probed, platforms));
  notePlaces(problems, imagePlaces(cache === undefined ? [] : [cache], staging));
  problems.throwIfAny(terminal);
  const boot = probed?.boot === undefined ? [] : [cmd({ cwd: root })`${engine.program} ${probed.boot}`];
  return { config, engine, stage, staging, boot, cache, commands: imageCommands(engine, image, startDirectory) };
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
  verifyNoToken(env, extra);
  const { builder, image, reference } = resolveImage(undefined, extra, env, root, startDirectory);
  const token = TOKEN_VARIABLES.find((name) => readVariable(env, name) !== undefined);
  // By this id the Dockerfile's RUN finds it.
  const build = { ...image, secrets: token === undefined ? [] : [`id=${TOKEN_VARIABLES[0]},env=${token}`] };
  verifyDockerfile(build.dockerfile);
  const unused = ['IMAGE_REGISTRY', 'DOCKER_OUTPUT'].filter((name) => textOf(env, name) !== undefined);
  if (unused.length > 0)
    terminal.warn(`the CI image is always ${reference}, so these have no effect: ${unused.join(', ')}`);
  const engine = await detectEngine(ctx, root);
  verifyPlatforms(await probeBuilder(ctx, engine, root, builder), build.platforms);
  const commands = imageCommands(engine, build, startDirectory);
  if (isDryRun) return terminal.result(...commandLines(ctx, commands));
  await runImageCommands(ctx, reference, commands);
  terminal.result(reference);
  terminal.say(`done: ${reference} ${destinationText(build.output, engine.record.name)}; ${terminal.timings()}`);
}

/** Every user of the machine sees the arguments of a process, and logs keep them. */
function verifyNoToken(env: Environment, args: readonly string[]): void {
  const name = TOKEN_VARIABLES.find((variable) => {
    const token = textOf(env, variable);
    // Anything shorter is not a token, and may be in an argument by chance.
    return token !== undefined && token.length >= 8 && args.some((argument) => argument.includes(token));
  });
  if (name === undefined) return;
  const shown = `a build option holds the value of ${name}, which other users and logs would show`;
  throw usageError(`${shown}; leave it out, the build gets it as a secret`);
}

/**
 * Verifies what others have staged, as what we stage is verified; nothing for an unknown architecture.
 * @param unused the variables to warn of
 * @throws TaskError: 2 for one that is not there, 1 for one that is not what it has to be
 */
export function verifyPrebuilt({ terminal }: RunnerContext, config: StageConfig, unused: readonly string[]): void {
  const why = 'nothing is staged here (CI or PREBUILT_AUTO_STAGE=0)';
  if (unused.length > 0) terminal.warn(`${why}, so these have no effect: ${unused.join(', ')}`);
  const artifacts = artifactsOf(config).filter(({ arch }) => !isUnknown(arch));
  const missing = artifacts.filter(({ path }) => statSync(path, { throwIfNoEntry: false })?.isFile() !== true);
  if (missing.length > 0) {
    const said = `${missing.map(({ path }) => path).join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not there`;
    throw usageError(`${said}, and ${why}; run tasks/stage.ts first, or unset them`);
  }
  for (const artifact of artifacts) {
    verifyArtifact(artifact, artifact.path);
    verifyCopyable(config.root, artifact);
  }
}

/** @throws usageError for a binary that the engine would not find, or that could not be started in the image */
function verifyCopyable(root: string, { component, path }: Artifact): void {
  // To an engine the checkout is the root directory, also for a link to an absolute path.
  const links = ancestorsOf(path).filter((one) => one.startsWith(`${root}/`) && look(one)?.isSymbolicLink());
  const leadsOut = !realpathSync(path).startsWith(join(realpathSync(root), '/'));
  if (leadsOut || links.some((link) => isAbsolute(readlinkSync(link)))) {
    throw usageError(`${path} is behind a link out of ${root}, which engines do not follow; put the file itself there`);
  }
  // The gateway's image keeps the mode, and runs as another user than the file's; the supervisor's sets it.
  if (component.name !== 'gateway' || (statSync(path).mode & 0o111) === 0o111) return;
  throw usageError(
    `${path} cannot be executed by all users, nor could it in its image; run: chmod 755 ${shellQuote(path)}`,
  );
}

/**
 * Stages where that is planned, and runs a body that builds from it. Two builds of one component wait for each other,
 * so that none copies the binary of the other, which may have another version.
 */
export async function withStaged(
  ctx: RunnerContext,
  config: StageConfig,
  prepared: PreparedStage | undefined,
  body: () => Promise<void>,
): Promise<void> {
  if (prepared === undefined) return whileUnchanged(config, body);
  const build = async () => {
    const staged = await executeStage(ctx, prepared);
    for (const line of reportLines(config.root, staged)) ctx.terminal.say(line);
    await whileUnchanged(config, body);
  };
  // In the order of their names, so that no two builds wait for each other.
  const names = config.components.map(({ name }) => name).sort();
  const locked = names.reduceRight<() => Promise<void>>((inner, name) => {
    const path = join(config.root, PRODUCT.prebuiltDirectory, '..', `.image-${name}.lock`);
    const place = { path, remedy: 'set OPENSHELL_ROOT to a checkout on another file system' };
    const task = `image ${names.join(' ')}`;
    return () => whileLocked(ctx, { ...place, task, other: `another build of the image ${name}` }, inner);
  }, build);
  return locked();
}

async function whileUnchanged(config: StageConfig, body: () => Promise<void>): Promise<void> {
  const paths = artifactsOf(config).map(({ path }) => path);
  const before = paths.map(fileIdentity);
  await body();
  const changed = paths.find((path, index) => fileIdentity(path) !== before[index]);
  if (changed === undefined) return;
  throw failure(`${changed} was replaced while the image was built, which may hold either; build it again`);
}
