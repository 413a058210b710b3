// SPDX-License-Identifier: Apache-2.0

/** The compressed supervisor of the bundle: written only where its content is new, and compared before it counts. */

import { failure } from '../errors.ts';
import { type Change, isFile, keepWithMode, replaceWhole, sweepTemporary } from '../files.ts';
import { isAlive } from '../process-identity.ts';
import { type Built, megabytes } from '../stage/report.ts';
import { verifyArtefact } from '../stage/verify.ts';
import type { Workbench } from '../task.ts';
import { compressFile, LEVEL } from '../zstd/compress.ts';
import { contentDifference } from '../zstd/content.ts';
import type { BundleConfig } from './bundle-config.ts';

/** As the other files of the runtime. */
const MODE = 0o644;

/**
 * Compresses a supervisor to its place. The content that is there is its own proof: it stays where it is that of the binary.
 *
 * @throws TaskError (1) where the binary was replaced meanwhile, or the place cannot be written
 */
export async function bringUpToDate(bench: Workbench, config: BundleConfig, built: Built): Promise<Change> {
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
