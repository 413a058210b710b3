// SPDX-License-Identifier: Apache-2.0

/**
 * The VM's supervisor bundle: cargo decides what is new, and what it made is verified and compressed.
 * Where nothing can be built, a proven bundle that is there already is used.
 */

import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary } from '../files.ts';
import { holderText, waitForLock } from '../lock.ts';
import { isAlive } from '../process-identity.ts';
import { buildAll } from '../stage/carry-out.ts';
import { type Built, megabytes } from '../stage/report.ts';
import { verifyArtefact } from '../stage/verify.ts';
import type { Workbench } from '../task.ts';
import { MissingTool } from '../toolchain.ts';
import { compressFile, LEVEL } from '../zstd/compress.ts';
import { contentDifference } from '../zstd/content.ts';
import type { BundleConfig } from './bundle-config.ts';
import { type Bundle, dayOf, type PreparedBundle } from './bundle-plan.ts';
import { type ProvenBundle, provenInstead } from './proven.ts';

/** As the other files of the runtime. */
const MODE = 0o644;

/**
 * Brings the bundle up to date.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export async function carryOutBundle(bench: Workbench, { config, way }: PreparedBundle): Promise<Bundle> {
  if (way.kind === 'proven') return useProven(bench, config, way.bundle, way.lack);
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
