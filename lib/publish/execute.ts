// SPDX-License-Identifier: Apache-2.0

/** Publishing both images: all is checked, compiled, built, pushed, and then tagged. */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import {
  type BuilderState,
  CONTAINER_DRIVER,
  forBuilds,
  inspectBuilder,
  LOCAL_DRIVER,
  unknownCache,
} from '../engine/inspect-builder.ts';
import type { Engine } from '../engine/types.ts';
import {
  describeError,
  EXIT,
  failure,
  InterruptedError,
  isFailure,
  MissingTool,
  oneLine,
  shown,
  usageError,
} from '../errors.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { isLeftover, newRunName, removeScratch, temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { dockerfileOf, verifyDockerfile } from '../image/config.ts';
import { prepareBinaries, withStaged } from '../image/execute.ts';
import { imagePlaces } from '../image/plan.ts';
import type { Command } from '../process/command.ts';
import { type PublishConfig, resolvePublishConfig } from './config.ts';
import type { Published, PushContent } from './engines.ts';
import {
  type BuilderChoice,
  buildImages,
  dryRunLines,
  engineCommands,
  PUBLISHED,
  type PublishPlan,
  planPublish,
  publishBuilt,
  SCRATCH_PREFIX,
} from './plan.ts';

const FALLBACK = 'multiarch';
const REMOVAL_TIMEOUT_MS = 30_000;
const REGISTRY_TIMEOUT_MS = 60_000;

/** Publishes the images, or prints the plan. @param extra options for the engine's build commands */
export async function publish(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const plan = await preparePublish(ctx, extra);
  if (isDryRun) return terminal.result(...(await dryRunLines(ctx, plan)));
  await removeLeftovers(ctx, plan, isLeftover);
  try {
    const published = await execute(ctx, plan);
    terminal.result(...published.map((one) => `${one.reference}  ${one.digest}  ${one.platforms.join(',')}`));
    terminal.say(`done: ${published.length} references set; ${terminal.timings()}`);
  } finally {
    await removeLeftovers(ctx, plan, (name) => name.endsWith(plan.run));
  }
}

async function preparePublish(ctx: RunnerContext, extra: readonly string[]): Promise<PublishPlan> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolvePublishConfig(extra, env, root, startDirectory);
  const stage = { root, host: thisHost(), components: PUBLISHED, arches: config.arches, build: config.build };
  for (const { name } of PUBLISHED) verifyDockerfile(dockerfileOf(root, name));
  const engine = await detectEngine(ctx, root, forBuilds(config.builder, false));
  const problems = new Problems();
  const temporary = problems.attempt(temporaryRoot) ?? '';
  const [builder, staging] = await Promise.all([
    problems.attemptAsync(() => chooseBuilder(ctx, engine, config)),
    problems.attemptAsync(() => prepareBinaries(ctx, stage, config.isStaged)),
  ]);
  const plan = builder && planPublish(config, { engine, builder, run: newRunName(), stage, staging }, temporary);
  notePlaces(problems, imagePlaces(plan?.caches ?? [], staging));
  problems.throwIfAny(terminal);
  if (plan === undefined) throw new TypeError('a publish that is not planned has a problem');
  if (plan.builder.note !== undefined) terminal.say(plan.builder.note);
  return plan;
}

/**
 * The one that is named, which is created where it does not exist; without a name the user's current one, where it can
 * publish, else `multiarch`. In a dry run perhaps marks.
 * @throws usageError where the named builder, or `multiarch`, exists and cannot publish
 */
export async function chooseBuilder(ctx: RunnerContext, engine: Engine, config: PublishConfig): Promise<BuilderChoice> {
  const { builder, root } = config;
  const choose = async () => {
    const state = await inspectBuilder(ctx, engine, root, builder?.name);
    if (state === undefined) return {};
    if (builder !== undefined) return choiceOf(builder.name, builder.source, state, builder.source);
    const { name = '(docker buildx use)' } = state;
    const problem = publishProblem(state);
    if (problem === undefined) return choiceOf(name, 'chosen with docker buildx use', state);
    const fallback = await inspectBuilder(ctx, engine, root, FALLBACK);
    return choiceOf(FALLBACK, `the current builder ${name} ${problem}`, fallback ?? state);
  };
  const name = builder?.name ?? mark('builder', engine.unknown ?? 'not reachable');
  return findOrMark(ctx.unknowns, choose, { name, driver: unknownCache(engine) });
}

/** @param source the variable or option that can name another one */
function choiceOf(name: string, why: string, state: BuilderState, source = 'DOCKER_BUILDER'): BuilderChoice {
  if (state.isAbsent) {
    const creation = ['buildx', 'create', '--name', name, '--driver', CONTAINER_DRIVER, '--bootstrap'];
    return { name, driver: CONTAINER_DRIVER, creation, note: `[builder] ${name}, which is created first (${why})` };
  }
  const problem = publishProblem(state);
  if (problem === undefined) return { name, driver: state.driver, note: `[builder] ${name} (${why})` };
  const text =
    `the builder '${name}' (${why}) ${problem}; set ${source} to another one (docker buildx ls), ` +
    'or to a new name, which is then created';
  throw state.problem === undefined ? usageError(text) : new MissingTool(text);
}

/** Why a builder cannot publish; `undefined` for one that can. */
function publishProblem({ driver, problem }: BuilderState): string | undefined {
  // Docker's own keeps one platform of an image, and pushes nothing by its digest.
  return problem ?? (driver === LOCAL_DRIVER ? 'has the driver docker, which cannot publish' : undefined);
}

async function execute(ctx: RunnerContext, plan: PublishPlan): Promise<Published[]> {
  const { builder, caches, scratch, stage, staging } = plan;
  const done: string[] = [];
  const start = async (command: Command, sets: string | undefined) => {
    await ctx.runner.run(command);
    if (sets !== undefined) done.push(sets);
  };
  const part = <T>(title: string, body: () => Promise<T>) =>
    ctx.terminal.section(title, body).catch((error) => {
      throw explained(ctx, error, done);
    });
  const engine = engineCommands(ctx, plan, start, readDigest);
  if (builder.creation !== undefined) await engine.run(builder.creation);
  await verifyRegistry(ctx, plan);
  asOwner(dirname(scratch), () => mkdirSync(scratch, { mode: 0o700 }));
  for (const cache of caches) makeDirectory(cache);
  let built: PushContent[] = [];
  await withStaged(ctx, stage, staging, async () => {
    built = await part('images', () => buildImages(engine, plan));
  });
  return part('content and tags', () => publishBuilt(plan, built));
}

/** @throws usageError before the compile for a registry that cannot be reached, or that refuses the login */
async function verifyRegistry({ runner }: RunnerContext, { config, engine, images, publishing }: PublishPlan) {
  for (const image of images) {
    const argv = [engine.program, ...publishing.reading(image)];
    const result = await runner.probe(probeCommand(argv, config.root), REGISTRY_TIMEOUT_MS);
    if (result.ok || isPerhapsAbsent(result.reason)) continue;
    const reason = oneLine(result.reason);
    throw usageError(`${image.repository} cannot be read: ${reason}; check DOCKER_REGISTRY, the network and the login`);
  }
}

/** Whether there may be no such image yet, to which a registry may also deny access. Engines have no status for that. */
export function isPerhapsAbsent(reason: string): boolean {
  if (/no basic auth credentials|authentication required|invalid username/i.test(reason)) return false;
  return /: not found\s*$|(manifest|name) unknown|denied|forbidden|_scope|not authorized|\b40[34]\b/im.test(reason);
}

/** @throws failure where the engine has not written it, although it did not fail */
export function readDigest(what: string, file: string): string {
  const text = textIn(file)?.trim() ?? '';
  // Podman writes nothing but the digest, buildx a table.
  const digest = parseTable(text)?.['containerimage.digest'] ?? text;
  if (typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest)) return digest;
  throw failure(`the engine did not give the ${what}: ${file} holds ${shown(text)}`);
}

/** The error with what it means for the registry. A signal stays one, and the terminal says it. */
function explained({ terminal }: RunnerContext, error: unknown, done: readonly string[]): unknown {
  const set = done.length === 0 ? 'no reference was set before that' : `set before that: ${done.join(', ')}`;
  const text = `${set}; run it again to finish`;
  if (error instanceof InterruptedError) terminal.say(`publish stopped: ${text}`);
  if (!isFailure(error)) return error;
  const status = error.exitCode === EXIT.usage ? EXIT.failed : error.exitCode;
  return failure(`${describeError(error)}; ${text}`, status, { cause: error });
}

/**
 * Removes what publishes leave on this machine, by the names of their runs: its own at the end, and at the start that
 * of runs that were killed. Where that fails a publish goes on: no other run needs those names.
 */
export async function removeLeftovers(
  { runner, signals, terminal }: RunnerContext,
  { config, engine, publishing, scratch }: Pick<PublishPlan, 'config' | 'engine' | 'publishing' | 'scratch'>,
  isOver: (name: string) => boolean,
): Promise<void> {
  const warn = (reason: string) => terminal.warn(`what a publish has left cannot be removed: ${reason}`);
  removeScratch(scratch, SCRATCH_PREFIX, isOver, warn);
  const { leftovers } = publishing;
  const probe = (args: readonly string[]) =>
    runner.probe(probeCommand([engine.program, ...args], config.root), REMOVAL_TIMEOUT_MS);
  // Podman 4.3 now and then does not find the content of a list that it is to remove, and finds it when asked again.
  for (let attempts = 3; leftovers !== undefined && attempts > 0; attempts--) {
    // After a signal the runner starts nothing more: the next publish removes the names.
    if (signals.aborted.aborted) return;
    const listed = await probe(leftovers.list);
    const names = listed.ok ? listed.output.split('\n').filter(isOver) : [];
    if (names.length === 0 || (await probe([...leftovers.remove, ...names])).ok) return;
  }
}
