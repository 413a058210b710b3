// SPDX-License-Identifier: Apache-2.0

/** Publishing both images: all is checked, compiled, built, pushed and tagged, and then read back from the registry. */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine, probeCommand } from '../engine/detect.ts';
import { forBuilds } from '../engine/inspect-builder.ts';
import { describeError, EXIT, failure, InterruptedError, oneLine, shown, TaskError, usageError } from '../errors.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { isLeftover, newRunName, removeScratch, temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { dockerfileOf, verifyDockerfile } from '../image/config.ts';
import { verifyPrebuilt, withStaged } from '../image/execute.ts';
import { imagePlaces } from '../image/plan.ts';
import type { Command } from '../process/command.ts';
import { prepareStage } from '../stage/execute.ts';
import { chooseBuilder } from './choose-builder.ts';
import { resolvePublishConfig } from './config.ts';
import type { Published, PushContent } from './engines.ts';
import {
  buildImages,
  dryRunLines,
  engineCommands,
  PUBLISHED,
  type PublishPlan,
  planPublish,
  progressText,
  publishBuilt,
  SCRATCH_PREFIX,
  tableLines,
} from './plan.ts';
import { type RegistryState, readReferences, verifyPublished } from './registry.ts';

const READ_AGAIN_MS = 2000;
const REMOVAL_TIMEOUT_MS = 30_000;
const REMOVAL_ATTEMPTS = 3;

/** Publishes the images, or prints the plan. @param extra options for the engine's build commands */
export async function publish(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const plan = await preparePublish(ctx, extra);
  if (isDryRun) return terminal.result(...(await dryRunLines(ctx, plan)));
  await removeLeftovers(ctx, plan, isLeftover);
  try {
    terminal.result(...(await execute(ctx, plan)));
    terminal.say(`done: ${plan.references.length} references set; ${terminal.timings()}`);
  } finally {
    await removeLeftovers(ctx, plan, (name) => name.endsWith(plan.run));
  }
}

/** Arguments and files are checked first, then the engine, then builder and this machine's tools, all at once. */
async function preparePublish(ctx: RunnerContext, extra: readonly string[]): Promise<PublishPlan> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolvePublishConfig(extra, env, root, startDirectory);
  const stage = { root, host: thisHost(), components: PUBLISHED, arches: config.arches, build: config.build };
  for (const { name } of PUBLISHED) verifyDockerfile(dockerfileOf(root, name));
  const engine = await detectEngine(ctx, root, forBuilds(config.builder, false));
  const problems = new Problems();
  if (!config.isStaged) problems.attempt(() => verifyPrebuilt(ctx, stage, config.unused));
  const temporary = problems.attempt(temporaryRoot) ?? '';
  const [builder, staging] = await Promise.all([
    problems.attemptAsync(() => chooseBuilder(ctx, engine, config)),
    config.isStaged ? problems.attemptAsync(() => prepareStage(ctx, stage)) : undefined,
  ]);
  const chosen = builder && { engine, builder, run: newRunName(), stage, staging };
  const plan = chosen && problems.attempt(() => planPublish(config, chosen, temporary));
  notePlaces(problems, imagePlaces(plan?.caches ?? [], staging));
  problems.throwIfAny(terminal);
  if (plan === undefined) throw new TypeError('a publish that is not planned has a problem');
  if (plan.builder.note !== undefined) terminal.say(plan.builder.note);
  return plan;
}

/** Builds, pushes, sets tags, and reads back. @returns what became of the references, as lines */
async function execute(ctx: RunnerContext, plan: PublishPlan): Promise<string[]> {
  const { builder, caches, references, scratch, stage, staging } = plan;
  const done: string[] = [];
  let current: string | undefined;
  const start = async (command: Command, sets: string | undefined) => {
    current = sets;
    await ctx.runner.run(command);
    if (sets !== undefined) done.push(sets);
    current = undefined;
  };
  const part = <T>(title: string, body: () => Promise<T>) =>
    ctx.terminal.section(title, body).catch((error) => {
      throw explained(ctx, error, progressText(references, done, current));
    });
  const engine = engineCommands(ctx, plan, start, readDigest);
  if (builder.creation !== undefined) await engine.run(builder.creation);
  if (builder.boot !== undefined) await engine.run(builder.boot).catch((error) => withoutBuilder(ctx, plan, error));
  const before = await readBefore(ctx, plan);
  asOwner(dirname(scratch), () => mkdirSync(scratch, { mode: 0o700 }));
  for (const cache of caches) makeDirectory(cache);
  let built: PushContent[] = [];
  await withStaged(ctx, stage, staging, async () => {
    built = await part('images', () => buildImages(engine, plan));
  });
  const published = await part('content and tags', () => publishBuilt(plan, built));
  await part('read back', () => readBack(ctx, plan, published));
  return tableLines(published, before);
}

/** Removes a builder that this run has created and that does not start. @throws the error */
async function withoutBuilder(ctx: RunnerContext, { builder, config, engine }: PublishPlan, error: unknown) {
  if (builder.creation !== undefined && !ctx.signals.aborted.aborted) {
    const command = probeCommand([engine.program, 'buildx', 'rm', builder.name ?? ''], config.root);
    await ctx.runner.run(command).catch(() => undefined);
  }
  throw error;
}

/** A second look before a finished publish counts as failed: registries may take a moment to give what was just set. */
async function readBack(ctx: RunnerContext, plan: PublishPlan, published: readonly Published[]): Promise<void> {
  const look = async () => {
    const after = await readReferences(ctx, plan);
    for (const one of published) verifyPublished(one, after.get(one.reference));
  };
  await look().catch(async () => {
    // An abort ends the pause, and the second look throws its reason.
    await sleep(READ_AGAIN_MS, undefined, { signal: ctx.signals.aborted }).catch(() => undefined);
    await look();
  });
}

/** What the references are now. A registry that does not respond, or wants another password, is found here. */
async function readBefore(ctx: RunnerContext, plan: PublishPlan): Promise<Map<string, RegistryState>> {
  const states = await ctx.terminal.section('registry', () => readReferences(ctx, plan), 'what the registry has');
  for (const [reference, state] of states) {
    if (state.kind === 'exists' || state.kind === 'absent') continue;
    const reason = oneLine(state.reason);
    if (state.kind === 'failed') {
      throw usageError(`${reference} cannot be read: ${reason}; check DOCKER_REGISTRY, the network and the login`);
    }
    ctx.terminal.warn(`${reference} cannot be read, or does not exist yet: ${reason}`);
  }
  return states;
}

/** @throws failure where the engine has not written it, although it did not fail */
export function readDigest(what: string, file: string): string {
  const text = textIn(file)?.trim() ?? '';
  // Podman writes nothing but the digest, buildx a table.
  const digest = parseTable(text)?.['containerimage.digest'] ?? text;
  if (typeof digest === 'string' && /^sha256:[0-9a-f]{64}$/.test(digest)) return digest;
  throw failure(`the engine did not give the ${what}: ${file} holds ${shown(text)}`);
}

/** The error with what it means for the registry, and the same status. A signal stays one, and the terminal says it. */
function explained({ terminal }: RunnerContext, error: unknown, text: string): unknown {
  if (error instanceof InterruptedError) terminal.say(`publish stopped: ${text}`);
  if (error instanceof InterruptedError || !(error instanceof TaskError)) return error;
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
  for (let attempt = 1; leftovers !== undefined && attempt <= REMOVAL_ATTEMPTS; attempt++) {
    // After a signal the runner starts nothing more: the next publish removes the names.
    if (signals.aborted.aborted) return;
    const listed = await probe(leftovers.list);
    const names = listed.ok ? listed.output.split('\n').filter(isOver) : [];
    const removed = names.length > 0 ? await probe([...leftovers.remove, ...names]) : listed;
    if (removed.ok) return;
    if (attempt === REMOVAL_ATTEMPTS) warn(oneLine(removed.reason));
  }
}
