// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it built is verified and compressed. Where nothing
 * can be built, an existing bundle that can be verified is used.
 */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { MissingTool } from '../cargo/toolchain.ts';
import { findCheckout } from '../checkout.ts';
import { failure } from '../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary, verifyWritable } from '../fs/atomic-write.ts';
import { whileLocked } from '../fs/lock.ts';
import { thisHost } from '../host.ts';
import { isAlive } from '../process/identity.ts';
import { type Built, verifyArtifact } from '../stage/artifacts.ts';
import { buildAll, type KnownTools, prepareStage } from '../stage/execute.ts';
import type { PreparedStage } from '../stage/plan.ts';
import { megabytes } from '../stage/report.ts';
import { compressFile, LEVEL } from '../zstd/compress.ts';
import { contentDefect } from '../zstd/decompress.ts';
import { type BundleConfig, resolveBundleConfig } from './config.ts';
import { requireExisting } from './existing-bundle.ts';
import type { Bundle, ExistingBundle, PreparedBundle } from './plan.ts';
import { bundleDryRunLines, bundleReportLine, dayOf } from './report.ts';

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
  const prepared = await prepareBundle(ctx, resolveBundleConfig(env, root, startDirectory, thisHost(), archFlag));
  if (isDryRun) return terminal.result(...bundleDryRunLines(runner, prepared));
  const result = await executeBundle(ctx, prepared);
  terminal.say(bundleReportLine(root, result));
  const timings = terminal.timings();
  if (timings !== '') terminal.say(`done: ${timings}`);
  terminal.result(result.path);
}

/**
 * Probes what the plan depends on, and plans.
 * @param known what need not be probed again
 * @throws usageError where nothing can be built here and no bundle can be used, or the directory cannot be written
 */
export async function prepareBundle(
  ctx: RunnerContext,
  config: BundleConfig,
  known?: KnownTools,
): Promise<PreparedBundle> {
  verifyWritable(config.directory, 'set OPENSHELL_VM_RUNTIME_COMPRESSED_DIR to another directory');
  try {
    return { config, way: { kind: 'build', stage: await prepareStage(ctx, config.stage, known) } };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    return { config, way: { kind: 'existing', bundle: requireExisting(config, error), reason: error } };
  }
}

/**
 * Brings the bundle up to date.
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function executeBundle(ctx: RunnerContext, { config, way }: PreparedBundle): Promise<Bundle> {
  if (way.kind === 'existing') return useExisting(ctx, config, way.bundle, way.reason);
  const path = join(config.root, 'target/.vm-bundle.lock');
  return whileLocked(ctx, { path, task: 'VM bundle', other: 'another bundle of this checkout' }, async () => {
    try {
      return await buildBundle(ctx, config, way.stage);
    } catch (error) {
      if (!(error instanceof MissingTool)) throw error;
      return useExisting(ctx, config, requireExisting(config, error), error);
    }
  });
}

async function buildBundle(ctx: RunnerContext, config: BundleConfig, stage: PreparedStage): Promise<Bundle> {
  const [built] = await buildAll(ctx, stage);
  if (built === undefined) throw new TypeError('a bundle is built by one cargo run');
  const change = await bringUpToDate(ctx, config, built);
  const { size, verified } = built;
  return { path: config.path, change, size, compressedSize: lstatSync(config.path).size, verified, built };
}

function useExisting(ctx: RunnerContext, config: BundleConfig, existing: ExistingBundle, reason: MissingTool): Bundle {
  const { date, ...facts } = existing;
  ctx.terminal.warn(`the VM's supervisor is the one of ${dayOf(date)}, and may be old: ${reason.message}`);
  return { path: config.path, change: 'unchanged', ...facts };
}

/** Compresses a supervisor to its place. A bundle stays where its content is that of the binary. */
async function bringUpToDate(ctx: RunnerContext, config: BundleConfig, built: Built): Promise<Change> {
  const { signals, terminal } = ctx;
  const { path } = config;
  sweepTemporary(path, isAlive);
  if (isFile(path) && contentDefect(path, built.source) === undefined) return keepWithMode(path, MODE);
  const heading = `compression of ${megabytes(built.size)} (zstd level ${LEVEL})`;
  const fill = async (temporary: string) => {
    await compressFile(built.source, temporary, { signal: signals.aborted });
    signals.throwIfReceived();
    verifyCompressed(temporary, built);
  };
  await terminal.section('compression', () => replaceWhole(path, MODE, fill), heading);
  return 'written';
}

/** What was compressed is verified once more: between cargo's end and now another cargo may have run. */
function verifyCompressed(temporary: string, { artifact, source }: Built): void {
  const defect = contentDefect(temporary, source);
  if (defect !== undefined) {
    throw failure(`the compressed supervisor is not what ${source} holds now (${defect}); run this again`);
  }
  verifyArtifact(artifact, source);
}
