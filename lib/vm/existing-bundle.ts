// SPDX-License-Identifier: Apache-2.0

/** A bundle that an earlier run left: good enough where nothing can be built? */

import { lstatSync } from 'node:fs';
import type { MissingTool } from '../cargo/toolchain.ts';
import { inspectExecutable, inspectStatic } from '../elf/verify.ts';
import { usageError } from '../errors.ts';
import { isFile } from '../fs/atomic-write.ts';
import type { Artifact } from '../stage/plan.ts';
import { readContent } from '../zstd/decompress.ts';
import { ZstdError } from '../zstd/frames.ts';
import type { BundleConfig } from './config.ts';
import { supervisorOf } from './plan.ts';

/** A bundle that is there already and was looked at. */
export interface ExistingBundle {
  /** Of its content, in bytes. */
  readonly size: number;
  readonly compressedSize: number;
  /** What was verified, for users. */
  readonly verified: string;
  /** When it was written. */
  readonly date: Date;
}

/**
 * Decompresses the bundle at `path` and verifies its content as `artifact`.
 *
 * @returns the bundle, or why it is none, in a few words
 */
export async function verifyExisting(path: string, artifact: Artifact): Promise<ExistingBundle | string> {
  if (!isFile(path)) return 'is not there';
  const { size: compressedSize, mtime: date } = lstatSync(path);
  try {
    const content = await wholeContent(path);
    const inspect = artifact.check === 'static' ? inspectStatic : inspectExecutable;
    const verdict = inspect({ name: 'its content', content }, { machine: artifact.arch });
    if (!verdict.ok) return `cannot be used (${verdict.reasons.join('; ')})`;
    const { machine, kind } = verdict.facts;
    return { size: content.length, compressedSize, verified: `${machine}, complete, ${kind}`, date };
  } catch (error) {
    if (error instanceof ZstdError) return `cannot be used (${error.message})`;
    throw error;
  }
}

async function wholeContent(path: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readContent(path)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/**
 * The bundle that is there, where it is what a build would have to make.
 *
 * @param lack why nothing can be built
 * @throws usageError where it is not there or not that
 */
export async function existingInstead(config: BundleConfig, lack: MissingTool): Promise<ExistingBundle> {
  const proven = await verifyExisting(config.path, supervisorOf(config));
  if (typeof proven !== 'string') return proven;
  throw usageError(`${lack.message}; an earlier bundle would do, but ${config.path} ${proven}`);
}
