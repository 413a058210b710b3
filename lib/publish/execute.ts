// SPDX-License-Identifier: Apache-2.0

/** Publishing both images: all is checked, compiled, built, pushed and tagged, and then read back from the registry. */

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { detectEngine } from '../engine/detect.ts';
import { forBuilds } from '../engine/inspect-builder.ts';
import { describeError, EXIT, failure, InterruptedError, oneLine, shown, TaskError, usageError } from '../errors.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { isLeftover, newRunName, temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { dockerfileOf, verifyDockerfile } from '../image/config.ts';
import { cachePlace } from '../image/plan.ts';
import { verifyPrebuilt, withStaged } from '../image/staged-binaries.ts';
import type { Command } from '../process/command.ts';
import { prepareStage } from '../stage/execute.ts';
import { stagePlaces } from '../stage/plan.ts';
import { chooseBuilder, foreignPlatforms } from './choose-builder.ts';
import { cleanUp } from './cleanup.ts';
import { resolvePublishConfig } from './config.ts';
import { DOCKER_PUBLISHING } from './engines/docker.ts';
import { PODMAN_PUBLISHING } from './engines/podman.ts';
import type { Published, PushContent } from './engines/types.ts';
import { buildImages, engineCommands, PUBLISHED, type PublishPlan, planPublish, publishBuilt } from './plan.ts';
import { type RegistryState, readReferences, verifyPublished } from './registry-contents.ts';
import { dryRunLines, progressText, type Row, rowOf, tableLines } from './report.ts';

const READ_AGAIN_MS = 2000;

/**
 * Publishes the images, or prints the plan.
 * @param extra options for the engine's build commands
 * @throws TaskError: 2 before anything is built, else the failed program's own status, with how far it came
 */
export async function publish(ctx: RunnerContext, extra: readonly string[], isDryRun: boolean): Promise<void> {
  const { terminal } = ctx;
  const plan = await preparePublish(ctx, extra);
  if (isDryRun) {
    for (const line of await dryRunLines(ctx, plan)) terminal.result(line);
    return;
  }
  await cleanUp(ctx, plan, isLeftover);
  try {
    const rows = await execute(ctx, plan);
    for (const line of tableLines(rows)) terminal.result(line);
    const count = rows.filter(({ state }) => state !== 'unchanged').length;
    terminal.say(`done: ${count} of ${rows.length} references set, the others were so already; ${terminal.timings()}`);
  } finally {
    await cleanUp(ctx, plan, (name) => name.endsWith(plan.run));
  }
}

/**
 * Arguments and files are checked first, then the engine, then builder and this machine's tools, all of which are heard.
 */
async function preparePublish(ctx: RunnerContext, extra: readonly string[]): Promise<PublishPlan> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolvePublishConfig(extra, env, root, startDirectory);
  const stage = { root, host: thisHost(), components: PUBLISHED, arches: config.arches, build: config.build };
  for (const { name } of PUBLISHED) verifyDockerfile(dockerfileOf(root, name));
  if (config.ignored.length > 0) terminal.say(`without effect on a publish: ${config.ignored.join(', ')}`);
  const engine = await detectEngine(ctx, root, forBuilds(config.builder, false));
  const problems = new Problems();
  if (!config.isStaged) problems.attempt(() => verifyPrebuilt(stage));
  const temporary = problems.attempt(temporaryRoot) ?? '';
  const [builder, staging] = await Promise.all([
    problems.attemptAsync(() => chooseBuilder(ctx, engine, config)),
    config.isStaged ? problems.attemptAsync(() => prepareStage(ctx, stage)) : undefined,
  ]);
  const publishing = { docker: DOCKER_PUBLISHING, podman: PODMAN_PUBLISHING }[engine.record.name];
  const chosen = builder && { engine, publishing, builder, run: newRunName(), stage, staging };
  const plan = chosen && problems.attempt(() => planPublish(config, chosen, temporary));
  const caches = (plan?.caches ?? []).map(cachePlace);
  notePlaces(problems, [...caches, ...(staging === undefined ? [] : stagePlaces(staging.plan))]);
  problems.throwIfAny(terminal);
  if (plan === undefined) throw new TypeError('a publish that is not planned has a problem');
  tellBuilder(ctx, plan);
  return plan;
}

function tellBuilder({ terminal }: RunnerContext, { builder, config }: PublishPlan): void {
  if (builder.note !== undefined) terminal.say(builder.note);
  const foreign = foreignPlatforms(builder, config.arches);
  if (foreign.length > 0) {
    terminal.warn(`${builder.name} does not list ${foreign.join(', ')}: RUN in a Dockerfile needs emulation there`);
  }
}

/**
 * Builds, pushes, sets tags, and reads back.
 * @returns what became of the references, in the order of the plan
 * @throws TaskError with the failed program's own status, and with how far it came
 */
async function execute(ctx: RunnerContext, plan: PublishPlan): Promise<Row[]> {
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
  const before = await readBefore(ctx, plan);
  asOwner(dirname(scratch), () => mkdirSync(scratch, { mode: 0o700 }));
  for (const cache of caches) makeDirectory(cache);
  let built: PushContent[] = [];
  await withStaged(ctx, stage, staging, async () => {
    built = await part('images', () => buildImages(engine, plan));
  });
  const published = await part('content and tags', () => publishBuilt(plan, built, before));
  await part('read back', () => readBack(ctx, plan, published));
  return published.map((one) => rowOf(one, before.get(one.reference)));
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

/**
 * What the references are now. A registry that does not respond, or wants another password, is found here.
 * @throws usageError with the engine's own reason
 */
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

/**
 * The error with what it means for the registry, and the same status. For a signal, which stays one, the terminal says
 * it.
 */
function explained({ terminal }: RunnerContext, error: unknown, text: string): unknown {
  if (error instanceof InterruptedError) terminal.say(`publish stopped: ${text}`);
  if (error instanceof InterruptedError || !(error instanceof TaskError)) return error;
  const status = error.exitCode === EXIT.usage ? EXIT.failed : error.exitCode;
  return failure(`${describeError(error)}; ${text}`, status, { cause: error });
}
