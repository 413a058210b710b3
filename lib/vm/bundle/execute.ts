// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it built is verified and compressed. Where nothing
 * can be built, an existing bundle that can be verified is used.
 */

import { lstatSync, writeFileSync } from 'node:fs';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { inspectExecutable, inspectStatic } from '../../elf/verify.ts';
import { MissingTool } from '../../errors.ts';
import { isFile, keepWithMode, replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner } from '../../fs/ownership.ts';
import { contentOf } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { buildAll, type KnownTools, prepareStage } from '../../stage/execute.ts';
import type { PreparedStage } from '../../stage/plan.ts';
import { builtText } from '../../stage/report.ts';
import { type Built, verifyArtifact } from '../../stage/verify-built.ts';
import { compress } from '../../zstd/compress.ts';
import { contentDefect, readContent, ZstdError } from '../../zstd/decompress.ts';
import { BUNDLE_FILE, runtimeLock } from '../runtime-files.ts';
import {
  type Bundle,
  type BundleConfig,
  bundleDryRunLines,
  bundlePlaces,
  dayOf,
  type PreparedBundle,
  resolveBundleConfig,
} from './plan.ts';

/** As the other files of the runtime. */
const MODE = 0o644;

/** Brings the bundle up to date, or prints the plan. @throws TaskError: 2 before anything is built, else as a build */
export async function bundle(ctx: RunnerContext, archFlag: string | undefined, isDryRun: boolean): Promise<void> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveBundleConfig(env, root, startDirectory, thisHost(), archFlag);
  const prepared = await prepareBundle(ctx, config);
  verifyPlaces(terminal, bundlePlaces(prepared));
  if (isDryRun) return terminal.result(...bundleDryRunLines(runner, prepared));
  const { change, text } = await executeBundle(ctx, prepared);
  terminal.say(`${change === 'written' ? 'bundled' : 'unchanged'}: ${BUNDLE_FILE} (${text})`);
  if (terminal.timings() !== '') terminal.say(`done: ${terminal.timings()}`);
  terminal.result(config.path);
}

/** Probes and plans. @throws usageError where nothing can be built here and no bundle can be used */
export async function prepareBundle(
  ctx: RunnerContext,
  config: BundleConfig,
  known?: KnownTools,
): Promise<PreparedBundle> {
  const planned = prepareStage(ctx, config.stage, known).then((stage) => ({ stage }));
  return { config, source: await (ctx.unknowns === undefined ? orExisting(ctx, config, planned) : planned) };
}

/** The existing bundle where a tool is missing. */
function orExisting<T>({ terminal }: RunnerContext, config: BundleConfig, result: Promise<T>): Promise<T | Bundle> {
  return result.catch((error: unknown) => {
    if (!(error instanceof MissingTool)) throw error;
    const existing = requireExisting(config, error);
    const day = dayOf(lstatSync(config.path).mtime);
    terminal.warn(`the VM's supervisor is the one of ${day}, and may be old: ${error.message}`);
    return existing;
  });
}

/** The existing bundle where its content is what a build would give. @throws MissingTool with the reason where not */
function requireExisting({ artifact, path }: BundleConfig, reason: MissingTool): Bundle {
  const refusal = (problem: string) =>
    new MissingTool(`${reason.message}; an earlier bundle would do, but ${path} ${problem}`);
  if (!isFile(path)) throw refusal('does not exist');
  let content: Buffer;
  try {
    content = readContent(path);
  } catch (error) {
    throw error instanceof ZstdError ? refusal(`cannot be used (${error.message})`) : error;
  }
  const inspect = artifact.check === 'static' ? inspectStatic : inspectExecutable;
  const verdict = inspect({ name: 'its content', content }, { machine: artifact.arch });
  if (!verdict.ok) throw refusal(`cannot be used (${verdict.reasons.join('; ')})`);
  const { machine, kind } = verdict.facts;
  return { change: 'unchanged', text: `${machine}, complete, ${kind}` };
}

/** Brings it up to date. @throws TaskError: cargo's own status, or 1 for a binary that fails verification */
export async function executeBundle(ctx: RunnerContext, { config, source }: PreparedBundle): Promise<Bundle> {
  const other = 'another bundle or setup for the same place';
  const lock = { ...runtimeLock(config.directory), task: 'VM bundle', other };
  if (!('stage' in source)) return source;
  return whileLocked(ctx, lock, () => orExisting(ctx, config, buildBundle(ctx, config, source.stage)));
}

/** Builds the supervisor, and compresses it to its place. A bundle stays where its content is that of the binary. */
async function buildBundle(ctx: RunnerContext, { path }: BundleConfig, stage: PreparedStage): Promise<Bundle> {
  const { signals, terminal } = ctx;
  const [built] = (await buildAll(ctx, stage)) as [Built];
  const { artifact, source } = built;
  const text = builtText(built);
  sweepTemporary(path);
  if (isFile(path) && contentDefect(path, source) === undefined) return { change: keepWithMode(path, MODE), text };
  const fill = async (_: string, output: number) => {
    const content = asOwner(source, () => contentOf(source));
    writeFileSync(output, await compress(content, signals.aborted));
    signals.throwIfReceived();
    verifyArtifact(artifact, source);
  };
  await terminal.section('compression', () => replaceWhole(path, MODE, fill));
  return { change: 'written', text };
}
