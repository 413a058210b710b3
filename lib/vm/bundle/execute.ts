// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it built is verified and compressed. Where nothing
 * can be built, an existing bundle that can be verified is used.
 */

import { lstatSync, writeFileSync } from 'node:fs';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark } from '../../cli/dry-run-marks.ts';
import { megabytes } from '../../cli/terminal.ts';
import { inspectExecutable, inspectStatic } from '../../elf/verify.ts';
import { failure, MissingTool } from '../../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { asOwner } from '../../fs/ownership.ts';
import { contentOf } from '../../fs/paths.ts';
import { verifyPlaces } from '../../fs/writable-places.ts';
import { thisHost } from '../../host.ts';
import { buildAll, type KnownTools, prepareStage } from '../../stage/execute.ts';
import type { PreparedStage } from '../../stage/plan.ts';
import { builtText } from '../../stage/report.ts';
import { type Built, verifyArtifact } from '../../stage/verify-built.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { contentDefect, readContent, ZstdError } from '../../zstd/decompress.ts';
import { runtimeLock } from '../runtime-files.ts';
import { type BundleConfig, resolveBundleConfig } from './config.ts';
import {
  type Bundle,
  bundleDryRunLines,
  bundlePlaces,
  bundleReportLine,
  dayOf,
  type ExistingBundle,
  type PreparedBundle,
} from './plan.ts';

/** As the other files of the runtime. */
const MODE = 0o644;

/**
 * Brings the bundle up to date, or prints the plan.
 * @param archFlag the value of `--arch`
 * @throws TaskError: 2 before anything is built, cargo's own status, or 1 for a binary that fails verification
 */
export async function bundle(ctx: RunnerContext, archFlag: string | undefined, isDryRun: boolean): Promise<void> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveBundleConfig(env, root, startDirectory, thisHost(), archFlag);
  const prepared = await prepareBundle(ctx, config);
  verifyPlaces(terminal, bundlePlaces(prepared));
  if (isDryRun) return terminal.result(...bundleDryRunLines(runner, prepared));
  terminal.say(bundleReportLine(config, await executeBundle(ctx, prepared)));
  if (terminal.timings() !== '') terminal.say(`done: ${terminal.timings()}`);
  terminal.result(config.path);
}

/**
 * Probes what the plan depends on, and plans.
 * @param known what need not be probed again
 * @throws usageError where nothing can be built here and no bundle can be used
 */
export async function prepareBundle(
  ctx: RunnerContext,
  config: BundleConfig,
  known?: KnownTools,
): Promise<PreparedBundle> {
  const { unknowns } = ctx;
  // Also in a dry run the existing bundle is used where it can be.
  const strict = known && { ...known, toolchain: { ...known.toolchain, unknowns: undefined } };
  const planned = prepareStage({ ...ctx, unknowns: undefined }, config.stage, strict).then((stage) => ({ stage }));
  const source = await findOrMark(unknowns, () => orExisting(config, planned));
  const isKnown = source !== undefined && (!('stage' in source) || unknowns === undefined || unknowns.isEmpty);
  return { config, source: isKnown ? source : { stage: await prepareStage(ctx, config.stage, known) } };
}

/** The existing bundle where a tool is missing. */
function orExisting<T>(config: BundleConfig, result: Promise<T>): Promise<T | ExistingBundle> {
  return result.catch((error: unknown) => {
    if (!(error instanceof MissingTool)) throw error;
    return requireExisting(config, error);
  });
}

/**
 * Decompresses the existing bundle, and verifies that its content is what a build would give.
 * @param reason why nothing can be built
 * @throws MissingTool where it does not exist or is something else
 */
function requireExisting({ artifact, path }: BundleConfig, reason: MissingTool): ExistingBundle {
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
  const { size, machine, kind } = verdict.facts;
  const { size: compressedSize, mtime: date } = lstatSync(path);
  const found = { change: 'unchanged', size, compressedSize, text: `${machine}, complete, ${kind}` } as const;
  return { bundle: found, date, reason };
}

/**
 * Brings the bundle up to date.
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function executeBundle(ctx: RunnerContext, { config, source }: PreparedBundle): Promise<Bundle> {
  const other = 'another bundle or setup for the same place';
  const lock = { ...runtimeLock(config.directory), task: 'VM bundle', other };
  const result =
    'stage' in source
      ? await whileLocked(ctx, lock, () => orExisting(config, buildBundle(ctx, config, source.stage)))
      : source;
  if (!('reason' in result)) return result;
  const { bundle: existing, date, reason } = result;
  ctx.terminal.warn(`the VM's supervisor is the one of ${dayOf(date)}, and may be old: ${reason.message}`);
  return existing;
}

async function buildBundle(ctx: RunnerContext, config: BundleConfig, stage: PreparedStage): Promise<Bundle> {
  const [built] = (await buildAll(ctx, stage)) as [Built];
  const change = await bringUpToDate(ctx, config.path, built);
  return { change, size: built.size, compressedSize: lstatSync(config.path).size, text: builtText(built) };
}

/** Compresses a supervisor to its place. A bundle stays where its content is that of the binary. */
async function bringUpToDate(ctx: RunnerContext, path: string, { artifact, size, source }: Built): Promise<Change> {
  const { signals, terminal } = ctx;
  sweepTemporary(path);
  if (isFile(path) && contentDefect(path, source) === undefined) return keepWithMode(path, MODE);
  const heading = `compression of ${megabytes(size)} (zstd level ${LEVEL})`;
  const read = () => asOwner(source, () => contentOf(source));
  const fill = async (_: string, output: number) => {
    const content = read();
    writeFileSync(output, await compress(content, signals.aborted));
    signals.throwIfReceived();
    // Between cargo's end and now another cargo may have run.
    if (!read().equals(content)) throw failure(`${source} has changed while it was compressed; run this again`);
    verifyArtifact(artifact, source);
  };
  await terminal.section('compression', () => replaceWhole(path, MODE, fill), heading);
  return 'written';
}
