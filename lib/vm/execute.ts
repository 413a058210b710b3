// SPDX-License-Identifier: Apache-2.0

/** The bundle as a task of its own. */
/** From what the bundle is to be to its plan: the tools are asked, and nothing else is started. */
/**
 * The VM's supervisor bundle: cargo decides what is new, and what it made is verified and compressed.
 * Where nothing can be built, a existing bundle that is there already is used.
 */
/** The compressed supervisor of the bundle: written only where its content is new, and compared before it counts. */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { MissingTool } from '../cargo/toolchain.ts';
import { findCheckout } from '../checkout.ts';
import type { TaskContext } from '../cli/task.ts';
import { failure } from '../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary, verifyWritable } from '../fs/atomic-write.ts';
import { holderText, waitForLock } from '../fs/lock.ts';
import { thisHost } from '../host.ts';
import { meanwhile } from '../meanwhile.ts';
import { isAlive } from '../process/identity.ts';
import { verifyArtifact } from '../stage/artifacts.ts';
import { buildAll, prepareStage } from '../stage/execute.ts';
import { type Built, megabytes } from '../stage/report.ts';
import { compressFile, LEVEL } from '../zstd/compress.ts';
import { contentDifference } from '../zstd/decompress.ts';
import { BUNDLE_VARIABLES, type BundleConfig, resolveBundleConfig } from './config.ts';
import type { ExistingBundle } from './existing-bundle.ts';
import { type Bundle, bundleDryRunLines, bundleReportLine, dayOf, type PreparedBundle } from './plan.ts';

/**
 * Brings the bundle up to date, or prints the plan.
 *
 * @param archFlag the value of `--arch`
 * @throws TaskError: 2 before anything is built, cargo's own status, or 1 for a binary that fails verification
 */
export async function bundle(ctx: TaskContext, archFlag: string | undefined, isDryRun: boolean): Promise<void> {
  const { runner, env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const config = resolveBundleConfig(env, root, startDirectory, thisHost(), archFlag);
  const [prepared, { executeBundle }] = await Promise.all([
    prepareBundle(ctx, config),
    meanwhile(() => import('./execute.ts')),
  ]);
  if (isDryRun) {
    for (const line of bundleDryRunLines(runner, prepared)) terminal.result(line);
    return;
  }
  const result = await executeBundle(ctx, prepared);
  terminal.say(bundleReportLine(root, result));
  const timings = terminal.timings();
  if (timings !== '') terminal.say(`done: ${timings}`);
  terminal.result(result.path);
}

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where nothing can be built here and no existing bundle is there, or the directory cannot be written
 */
export async function prepareBundle(ctx: TaskContext, config: BundleConfig): Promise<PreparedBundle> {
  verifyWritable(config.directory, `set ${BUNDLE_VARIABLES.directory} to another directory`);
  try {
    return { config, way: { kind: 'build', stage: await prepareStage(ctx, config.build) } };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    const { existingInstead } = await import('./existing-bundle.ts');
    return { config, way: { kind: 'existing', bundle: await existingInstead(config, error), lack: error } };
  }
}

/**
 * Brings the bundle up to date.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function executeBundle(ctx: TaskContext, { config, way }: PreparedBundle): Promise<Bundle> {
  if (way.kind === 'existing') return useExisting(ctx, config, way.bundle, way.lack);
  const lock = await waitForLock(join(config.root, 'target/.vm-bundle.lock'), 'VM bundle', ctx.signals, (holder) =>
    ctx.terminal.say(`waiting for another bundle of this checkout: ${holderText(holder)}`),
  );
  try {
    const [[built], { bringUpToDate }] = await Promise.all([
      buildAll(ctx, way.stage),
      meanwhile(() => import('./execute.ts')),
    ]);
    if (built === undefined) throw new TypeError('a bundle is built by one cargo run');
    const change = await bringUpToDate(ctx, config, built);
    const { size, verified } = built;
    return { path: config.path, change, size, compressedSize: lstatSync(config.path).size, verified, built };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    const { existingInstead } = await import('./existing-bundle.ts');
    return useExisting(ctx, config, await existingInstead(config, error), error);
  } finally {
    await lock.release();
  }
}

function useExisting(ctx: TaskContext, config: BundleConfig, bundle: ExistingBundle, lack: MissingTool): Bundle {
  ctx.terminal.warn(`the VM's supervisor is the one of ${dayOf(bundle.date)}, and may be old: ${lack.message}`);
  const { size, compressedSize, verified, date } = bundle;
  return { path: config.path, change: 'unchanged', size, compressedSize, verified, existingSince: date };
}

/** As the other files of the runtime. */
const MODE = 0o644;

/**
 * Compresses a supervisor to its place. The content that is there is its own proof: it stays where it is that of the binary.
 *
 * @throws TaskError (1) where the binary was replaced meanwhile, or the place cannot be written
 */
export async function bringUpToDate(ctx: TaskContext, config: BundleConfig, built: Built): Promise<Change> {
  const { signals, terminal } = ctx;
  const { path } = config;
  sweepTemporary(path, isAlive);
  if (isFile(path) && (await contentDifference(path, built.source)) === undefined) return keepWithMode(path, MODE);
  const heading = `compression of ${megabytes(built.size)} (zstd level ${LEVEL})`;
  const fill = async (temporary: string) => {
    await compressFile(built.source, temporary, { signal: signals.aborted });
    signals.throwIfReceived();
    await verifyCompressed(temporary, built);
  };
  await terminal.section('compression', () => replaceWhole(path, MODE, fill), heading);
  return 'written';
}

/** What was compressed is verified once more: between cargo's end and now another cargo may have run. */
async function verifyCompressed(temporary: string, { artifact, source }: Built): Promise<void> {
  const difference = await contentDifference(temporary, source);
  if (difference !== undefined) {
    throw failure(`the compressed supervisor is not what ${source} holds now (${difference}); run this again`);
  }
  verifyArtifact(artifact, source);
}
