// SPDX-License-Identifier: Apache-2.0

/**
 * Staging a runtime: a new directory is filled beside the old one, verified, and put in its place, with the supervisor's
 * bundle of the old one. What has the content already is not compressed again, and nothing else of the old one stays.
 */

import { existsSync, lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { errnoOf, failure, shown, usageError } from '../../errors.ts';
import { copyWhole, isFile, replaceWhole, writeWhole } from '../../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { bytesIn, contentOf, namesIn, textIn } from '../../fs/paths.ts';
import type { Place } from '../../fs/writable-places.ts';
import { megabytes } from '../../stage/report.ts';
import { compressContent, LEVEL } from '../../zstd/compress.ts';
import { decompress } from '../../zstd/decompress.ts';
import {
  BUNDLE_FILE,
  beside,
  DIRECTORY_REMEDY,
  PROVENANCE_FILE,
  RECORD_FILE,
  type RuntimeRecord,
  runtimeFiles,
  runtimeLock,
  runtimeNames,
  sha256Of,
  type VmPlatform,
} from '../runtime-files.ts';
import { downloadsOf } from './releases.ts';

const MODE = 0o644;
/** What a runtime's directory may hold: this task's files, those of the bash tasks, and files that are being written. */
const OWN_NAMES =
  /^(?:(?:libkrun|libkrunfw|gvproxy|umoci|openshell-sandbox|rootfs)[\w.-]*\.zst|provenance\.json|\.(?:DS_Store|verified\.json|vm-bundle\.lock|[\w.-]+\.\d+\.tmp))$/;

/** The uncompressed files of a runtime by their names. */
export type Contents = Map<string, Buffer>;

/** What becomes a runtime. */
export interface Staging {
  readonly platform: VmPlatform;
  /** Absolute. */
  readonly directory: string;
  readonly contents: Contents;
  /** The text of `provenance.json`; absent where nothing says where the files come from. */
  readonly provenance?: string | undefined;
  /** What the record says besides the files. */
  readonly record: Omit<RuntimeRecord, 'platform' | 'files'>;
  /** Whether everything is compressed again. */
  readonly isForced: boolean;
}

/** What came of it, and a line for each file. */
export interface Staged {
  readonly isChanged: boolean;
  readonly lines: readonly string[];
}

/** What is written. */
export function runtimePlaces(directory: string): Place[] {
  const paths = [dirname(directory), directory, beside(directory, 'new'), downloadsOf(directory)];
  return [
    { kind: 'opened', ...runtimeLock(directory) },
    ...paths.map((path) => ({ kind: 'directory', path, remedy: DIRECTORY_REMEDY }) as const),
  ];
}

/**
 * Checks that a directory can be replaced whole: it holds nothing but a runtime.
 * @throws usageError naming what is there
 */
export function verifyReplaceable(directory: string): void {
  // Whatever is wrong with the way to it, the check of the places tells.
  if (!existsSync(directory)) return;
  const found = lstatSync(directory);
  const refuse = (what: string) =>
    usageError(`the VM runtime's directory ${shown(directory)} ${what}; ${DIRECTORY_REMEDY}`);
  if (found.isSymbolicLink()) throw refuse('is a link, and is replaced as a whole');
  if (!found.isDirectory()) throw refuse('is not a directory');
  const isOwn = (name: string) => OWN_NAMES.test(name) && !lstatSync(join(directory, name)).isDirectory();
  const other = namesIn(directory).find((name) => !isOwn(name));
  if (other !== undefined) throw refuse(`holds ${shown(other)}, which is not of a runtime, and is replaced as a whole`);
}

/**
 * Stages a runtime; the caller holds the lock. Until the new directory is whole and verified, nothing has changed.
 * @throws InterruptedError on a signal
 */
export async function stageRuntime(ctx: RunnerContext, staging: Staging): Promise<Staged> {
  const { contents, directory, platform } = staging;
  recoverRuntime(directory);
  verifyReplaceable(directory);
  const names = runtimeNames(platform);
  /** The SHA-256 of compressed files, by the names of their contents. */
  const digests = new Map<string, string>();
  for (const name of staging.isForced ? [] : names) noteContent(staging, name, digests);
  const kept = new Set(digests.keys());
  const isChanged = kept.size < names.length || !isUpToDate(staging, digests);
  if (isChanged) await replaceRuntime(ctx, staging, digests);
  const lines = names.map((name) => {
    const [size, compressed] = [contents.get(name)?.length ?? 0, statSync(join(directory, `${name}.zst`)).size];
    const sizes = `${megabytes(size)} in ${megabytes(compressed)}`;
    return `${kept.has(name) ? 'unchanged' : 'compressed'}: ${name}.zst (${sizes})`;
  });
  return { isChanged, lines };
}

/** Notes the digest of a file where the directory has the content already, whole. */
function noteContent({ contents, directory }: Staging, name: string, digests: Map<string, string>): void {
  const path = join(directory, `${name}.zst`);
  try {
    const compressed = isFile(path) ? bytesIn(path) : undefined;
    if (compressed === undefined || contents.get(name)?.equals(decompress(compressed)) !== true) return;
    digests.set(name, sha256Of(compressed));
  } catch {
    // It is compressed again.
  }
}

/** The text of the record: the digests are those of the bytes that were verified, and of nothing that is read again. */
function recordOf({ platform, record }: Staging, digests: ReadonlyMap<string, string>): string {
  const files = Object.fromEntries(runtimeNames(platform).map((name) => [`${name}.zst`, digests.get(name)]));
  return `${JSON.stringify({ platform, ...record, files }, null, 2)}\n`;
}

/** Whether nothing but the right files is there. */
function isUpToDate(staging: Staging, digests: ReadonlyMap<string, string>): boolean {
  const { directory, platform, provenance } = staging;
  const wanted = [...runtimeFiles(platform), BUNDLE_FILE, PROVENANCE_FILE];
  const hasOther = namesIn(directory).some((name) => !name.startsWith('.') && !wanted.includes(name));
  const isSame = (name: string, text: string | undefined) => textIn(join(directory, name)) === text;
  return !hasOther && isSame(PROVENANCE_FILE, provenance) && isSame(RECORD_FILE, recordOf(staging, digests));
}

async function replaceRuntime(ctx: RunnerContext, staging: Staging, digests: Map<string, string>): Promise<void> {
  const { directory } = staging;
  const fresh = beside(directory, 'new');
  try {
    await fill(ctx, staging, fresh, digests);
    ctx.signals.throwIfReceived();
    swap(fresh, directory);
  } finally {
    remove(fresh);
  }
}

/** Fills a directory with what is kept, whose digests are known, and what is compressed, whose digests it adds. */
async function fill(ctx: RunnerContext, staging: Staging, fresh: string, digests: Map<string, string>): Promise<void> {
  const { contents, directory, platform, provenance } = staging;
  makeDirectory(fresh);
  for (const name of [...[...digests.keys()].map((one) => `${one}.zst`), BUNDLE_FILE]) {
    const path = join(directory, name);
    if (isFile(path)) copyWhole(path, join(fresh, name), MODE);
  }
  const changed = runtimeNames(platform).filter((name) => !digests.has(name));
  const compressAll = async () => {
    for (const name of changed) {
      digests.set(name, await compressTo(ctx, contents.get(name) as Buffer, join(fresh, `${name}.zst`)));
    }
  };
  const heading = `compression of ${changed.join(', ')} (zstd level ${LEVEL})`;
  if (changed.length > 0) await ctx.terminal.section('compression', compressAll, heading);
  if (provenance !== undefined) writeWhole(join(fresh, PROVENANCE_FILE), provenance, MODE);
  writeWhole(join(fresh, RECORD_FILE), recordOf(staging, digests), MODE);
}

/** @returns the SHA-256 of the compressed file */
async function compressTo({ signals }: RunnerContext, content: Buffer, path: string): Promise<string> {
  let sha256 = '';
  await replaceWhole(path, MODE, async (temporary, output) => {
    await compressContent(content, output, { signal: signals.aborted });
    signals.throwIfReceived();
    const compressed = contentOf(temporary);
    // What is embedded is what was verified, whatever the compression did.
    if (!decompress(compressed).equals(content)) throw failure(`${path} is not what was compressed`);
    sha256 = sha256Of(compressed);
  });
  return sha256;
}

/** Between the two renames there is no runtime; `recoverRuntime` knows what a run that was killed there has left. */
function swap(fresh: string, directory: string): void {
  const old = beside(directory, 'old');
  asOwner(dirname(directory), () => {
    try {
      if (existsSync(directory)) renameSync(directory, old);
    } catch (error) {
      // It is a mount point, or a lower layer of an overlay has it.
      const code = errnoOf(error) ?? '';
      if (!['EXDEV', 'EBUSY'].includes(code)) throw error;
      throw failure(`${directory} cannot be replaced as a whole (${code}); remove it, or ${DIRECTORY_REMEDY}`);
    }
    renameSync(fresh, directory);
  });
  remove(old);
}

/** Puts back, or away, what a run that was killed has left; the caller holds the lock. */
export function recoverRuntime(directory: string): void {
  const old = beside(directory, 'old');
  if (!existsSync(directory) && existsSync(old)) asOwner(dirname(directory), () => renameSync(old, directory));
  remove(old);
  remove(beside(directory, 'new'));
}

/** Removes a directory of ours, where it is. Of a link nothing behind it goes. */
function remove(directory: string): void {
  asOwner(dirname(directory), () => rmSync(directory, { force: true, recursive: true }));
}
