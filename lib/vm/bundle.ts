// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it made is verified and compressed.
 * Where nothing can be built, a proven bundle that is there already is used.
 */

import { accessSync, constants, existsSync, lstatSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure, usageError } from '../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary } from '../files.ts';
import { isAlive } from '../process-identity.ts';
import { type Built, megabytes } from '../stage/report.ts';
import { buildAll, prepareStage } from '../stage/run.ts';
import { verifyArtefact } from '../stage/verify.ts';
import type { Workbench } from '../task.ts';
import { MissingTool } from '../toolchain.ts';
import { compressFile, LEVEL } from '../zstd/compress.ts';
import { contentDifference } from '../zstd/content.ts';
import { BUNDLE_VARIABLES, type BundleConfig } from './bundle-config.ts';
import { type Bundle, dayOf, type PreparedBundle, supervisorOf } from './bundle-plan.ts';
import { type ProvenBundle, proveBundle } from './proven.ts';

/** As the other files of the runtime. */
const MODE = 0o644;

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where nothing can be built here and no proven bundle is there, or the folder cannot be written
 */
export async function prepareBundle(bench: Workbench, config: BundleConfig): Promise<PreparedBundle> {
  verifyFolder(config.folder);
  try {
    return { config, way: { kind: 'build', stage: await prepareStage(bench, config.build) } };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    return { config, way: { kind: 'proven', bundle: await provenInstead(config, error), lack: error } };
  }
}

/**
 * Brings the bundle up to date.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOutBundle(bench: Workbench, { config, way }: PreparedBundle): Promise<Bundle> {
  if (way.kind === 'proven') return useProven(bench, config, way.bundle, way.lack);
  const { holderText, waitForLock } = await import('../lock.ts');
  const lock = await waitForLock(join(config.root, 'target/.vm-bundle.lock'), 'VM bundle', bench.signals, (holder) =>
    bench.terminal.say(`waiting for another bundle of this checkout: ${holderText(holder)}`),
  );
  try {
    const [built] = await buildAll(bench, way.stage);
    if (built === undefined) throw new TypeError('a bundle is built by one cargo run');
    const change = await bringUpToDate(bench, config, built);
    const { size, verified } = built;
    return { path: config.path, change, size, compressedSize: lstatSync(config.path).size, verified, built };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    return useProven(bench, config, await provenInstead(config, error), error);
  } finally {
    await lock.release();
  }
}

/** A compilation of minutes must not end at a folder that cannot be written. */
function verifyFolder(folder: string): void {
  let at = folder;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  try {
    if (!statSync(at).isDirectory()) throw usageError('it is not a folder');
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw usageError(
      `${folder} cannot be written to, because of ${at}; set ${BUNDLE_VARIABLES.folder} to another folder`,
      {
        cause: error,
      },
    );
  }
}

/** The bundle that is there, where it is what a build would have to make. */
async function provenInstead(config: BundleConfig, lack: MissingTool): Promise<ProvenBundle> {
  const proven = await proveBundle(config.path, supervisorOf(config));
  if (typeof proven !== 'string') return proven;
  throw usageError(`${lack.message}; an earlier bundle would do, but ${config.path} ${proven}`);
}

function useProven(bench: Workbench, config: BundleConfig, bundle: ProvenBundle, lack: MissingTool): Bundle {
  bench.terminal.warn(`the VM's supervisor is the one of ${dayOf(bundle.date)}, and may be old: ${lack.message}`);
  const { size, compressedSize, verified, date } = bundle;
  return { path: config.path, change: 'unchanged', size, compressedSize, verified, fromProven: date };
}

/** The content of the bundle is its own proof: it is written only where it is not that of the binary. */
async function bringUpToDate(bench: Workbench, config: BundleConfig, built: Built): Promise<Change> {
  const { signals, terminal } = bench;
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
async function verifyCompressed(temporary: string, { artefact, source }: Built): Promise<void> {
  const difference = await contentDifference(temporary, source);
  if (difference !== undefined) {
    throw failure(`the compressed supervisor is not what ${source} holds now (${difference}); run this again`);
  }
  verifyArtefact(artefact, source);
}
