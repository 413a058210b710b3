// SPDX-License-Identifier: Apache-2.0

/**
 * Staging a runtime: a new directory is filled beside the old one, verified, and put in its place, with the supervisor's
 * bundle of the old one. What has the content already is not compressed again, and nothing else of the old one stays.
 */

import { lstatSync, realpathSync, renameSync, rmdirSync, rmSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { errnoOf, failure, shown, usageError } from '../../errors.ts';
import { copyWhole, isFile, replaceWhole, writeWhole } from '../../fs/atomic-write.ts';
import type { LockedPlace } from '../../fs/lock.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { bytesIn, contentOf, namesIn, textIn } from '../../fs/paths.ts';
import type { Place } from '../../fs/writable-places.ts';
import { compressContent, LEVEL } from '../../zstd/compress.ts';
import { decompress } from '../../zstd/decompress.ts';
import {
  BUNDLE_FILE,
  defectsText,
  PROVENANCE_FILE,
  runtimeDefects,
  runtimeFiles,
  runtimeNames,
  type VmPlatform,
} from '../runtime-files.ts';
import { besideRuntime } from './config.ts';
import { RECORD_FILE, recordText, type StagingRecord, sha256Of } from './record.ts';

const MODE = 0o644;
const VARIABLE = 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR';
const REMEDY = `set ${VARIABLE} to another directory`;
/** What a runtime's directory may hold: this task's files, those of the bash tasks, and files that are being written. */
const OWN_NAMES =
  /^(?:(?:libkrun|libkrunfw|gvproxy|umoci|openshell-sandbox|rootfs)[\w.-]*\.zst|provenance\.json|\.(?:DS_Store|verified\.json|vm-bundle\.lock|[\w.-]+\.\d+\.tmp))$/;

/** What becomes a runtime. */
export interface Staging {
  readonly platform: VmPlatform;
  /** Absolute. */
  readonly directory: string;
  /** The uncompressed files by their names; those of the platform's table are used. */
  readonly contents: ReadonlyMap<string, Buffer>;
  /** The text of `provenance.json`; absent where nothing says where the files come from. */
  readonly provenance?: string | undefined;
  /** What the record says besides the files. */
  readonly record: Omit<StagingRecord, 'platform' | 'files'>;
  /** Whether everything is compressed again. */
  readonly isForced: boolean;
}

/** What came of a file. */
export interface StagedFile {
  readonly name: string;
  readonly isNew: boolean;
  readonly size: number;
  readonly compressedSize: number;
}

export interface Staged {
  readonly isChanged: boolean;
  readonly files: readonly StagedFile[];
  /** The text of its record. */
  readonly recorded: string;
}

/** The SHA-256 of compressed files, by the names of their contents. */
type Digests = Map<string, string>;

/** One run at a time writes into a runtime's directory, the bundle's included. */
export function runtimeLock(directory: string): LockedPlace {
  return { path: besideRuntime(directory, 'lock'), remedy: REMEDY };
}

/** The lock as a place that is written. */
export function lockPlace(directory: string): Place {
  return { kind: 'opened', ...runtimeLock(directory) };
}

/** What is written. */
export function runtimePlaces(directory: string): Place[] {
  return [
    lockPlace(directory),
    { kind: 'directory', path: dirname(directory), remedy: REMEDY },
    { kind: 'directory', path: directory, remedy: REMEDY },
    { kind: 'directory', path: freshOf(directory), remedy: REMEDY },
    { kind: 'directory', path: downloadsOf(directory), remedy: REMEDY },
  ];
}

/** Where downloads are until they are verified: a directory for this user alone. */
export function downloadsOf(directory: string): string {
  return besideRuntime(directory, 'downloads');
}

/**
 * Checks that a directory can be replaced whole: it holds nothing but a runtime, and is not where a file system begins.
 * @throws usageError naming what is there
 */
export function verifyReplaceable(directory: string): void {
  const found = look(directory);
  if (found === undefined) return;
  const refuse = (what: string) => usageError(`the VM runtime's directory ${shown(directory)} ${what}; ${REMEDY}`);
  if (found.isSymbolicLink()) throw refuse('is a link, and is replaced as a whole');
  if (!found.isDirectory()) throw refuse('is not a directory');
  const isOtherDevice = statSync(dirname(directory)).dev !== found.dev;
  if (isOtherDevice || isMountPoint(directory)) throw refuse('is a mount point, and is replaced as a whole');
  const other = namesIn(directory).find(
    (name) => !OWN_NAMES.test(name) || look(join(directory, name))?.isDirectory() === true,
  );
  if (other !== undefined) throw refuse(`holds ${shown(other)}, which is not of a runtime, and is replaced as a whole`);
}

/** A bind mount has the device of what is mounted; only Linux lists it. */
function isMountPoint(directory: string): boolean {
  const path = realpathSync(directory);
  const points = (textIn('/proc/self/mountinfo') ?? '').split('\n').map((line) => line.split(' ')[4] ?? '');
  // Blanks and the like are octal (proc(5)).
  const plain = (point: string) =>
    point.replace(/\\([0-7]{3})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 8)));
  return points.some((point) => plain(point) === path);
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    // Whatever is wrong with the path, writing tells it better.
    return undefined;
  }
}

/**
 * Stages a runtime; the caller holds the lock. Until the new directory is whole and verified, nothing has changed.
 * @throws failure for a runtime that is not complete, InterruptedError on a signal
 */
export async function stageRuntime(ctx: RunnerContext, staging: Staging): Promise<Staged> {
  const { directory, platform } = staging;
  recoverRuntime(directory);
  verifyReplaceable(directory);
  const missing = runtimeNames(platform).filter((name) => (staging.contents.get(name)?.length ?? 0) === 0);
  if (missing.length > 0) throw failure(`the VM runtime for ${platform} has no ${missing.join(', ')}`);
  const digests: Digests = new Map();
  for (const name of staging.isForced ? [] : runtimeNames(platform)) noteContent(staging, name, digests);
  const kept = [...digests.keys()];
  if (kept.length === runtimeNames(platform).length && isUpToDate(staging, digests)) {
    const files = kept.map((name) => describe(directory, staging, name, false));
    return { isChanged: false, files, recorded: recordOf(staging, digests) };
  }
  const fresh = freshOf(directory);
  try {
    await fill(ctx, staging, fresh, digests);
    const defects = runtimeDefects(fresh, platform);
    if (defects.length > 0) throw failure(`the VM runtime for ${platform} is not complete: ${defectsText(defects)}`);
    ctx.signals.throwIfReceived();
    swap(fresh, directory);
  } catch (error) {
    // The first error counts; what cannot be removed now, the next run removes.
    removeQuietly(fresh);
    throw error;
  }
  const described = runtimeNames(platform).map((name) => describe(directory, staging, name, !kept.includes(name)));
  return { isChanged: true, files: described, recorded: recordOf(staging, digests) };
}

function describe(directory: string, { contents }: Staging, name: string, isNew: boolean): StagedFile {
  const size = contents.get(name)?.length ?? 0;
  return { name: `${name}.zst`, isNew, size, compressedSize: statSync(join(directory, `${name}.zst`)).size };
}

/** Notes the digest of a file where the directory has the content already, whole. */
function noteContent({ contents, directory }: Staging, name: string, digests: Digests): void {
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
function recordOf({ platform, record }: Staging, digests: Digests): string {
  const files = Object.fromEntries(runtimeNames(platform).map((name) => [`${name}.zst`, digests.get(name) ?? '']));
  return recordText({ platform, ...record, files });
}

/** Whether nothing but the right files is there. */
function isUpToDate(staging: Staging, digests: Digests): boolean {
  const { directory, platform, provenance } = staging;
  const wanted = [...runtimeFiles(platform), BUNDLE_FILE, PROVENANCE_FILE];
  const hasOther = namesIn(directory).some((name) => !name.startsWith('.') && !wanted.includes(name));
  const isSame = (name: string, text: string | undefined) => textIn(join(directory, name)) === text;
  return !hasOther && isSame(PROVENANCE_FILE, provenance) && isSame(RECORD_FILE, recordOf(staging, digests));
}

/** Fills a directory with what is kept, whose digests are known, and what is compressed, whose digests it adds. */
async function fill(ctx: RunnerContext, staging: Staging, fresh: string, digests: Digests): Promise<void> {
  const { contents, directory, platform, provenance } = staging;
  makeDirectory(fresh);
  for (const name of [...[...digests.keys()].map((one) => `${one}.zst`), BUNDLE_FILE]) {
    const path = join(directory, name);
    if (isFile(path)) copyWhole(path, join(fresh, name), MODE);
  }
  const changed = runtimeNames(platform).filter((name) => !digests.has(name));
  const heading = `compression of ${changed.join(', ')} (zstd level ${LEVEL})`;
  const compressAll = async () => {
    for (const name of changed) {
      digests.set(name, await compressTo(ctx, contents.get(name) as Buffer, join(fresh, `${name}.zst`)));
    }
  };
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
  asOwner(dirname(directory), () => {
    const old = oldOf(directory);
    try {
      if (look(directory) !== undefined) renameSync(directory, old);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (!['EXDEV', 'EBUSY'].includes(code)) throw error;
      // A lower layer of an overlay has it, or it is a mount point that is not listed.
      throw failure(`${directory} cannot be replaced as a whole (${code}); remove it, or ${REMEDY}`);
    }
    renameSync(fresh, directory);
  });
  removeRuntime(oldOf(directory));
}

/** Puts back, or away, what a run that was killed has left; the caller holds the lock. */
export function recoverRuntime(directory: string): void {
  const old = oldOf(directory);
  if (look(directory) === undefined && look(old)?.isDirectory() === true) {
    asOwner(dirname(directory), () => renameSync(old, directory));
  }
  removeRuntime(old);
  removeRuntime(freshOf(directory));
}

/** Removes a directory of ours with the files in it, and nothing that is not a runtime's. */
function removeRuntime(directory: string): void {
  const found = look(directory);
  if (found === undefined) return;
  // A link is removed, and not what it leads to.
  if (!found.isDirectory()) {
    asOwner(dirname(directory), () => rmSync(directory));
    return;
  }
  asOwner(directory, () => {
    for (const name of namesIn(directory).filter((one) => OWN_NAMES.test(one))) rmSync(join(directory, name));
  });
  try {
    asOwner(dirname(directory), () => rmdirSync(directory));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw failure(`${directory} cannot be removed; look at what is in it`, 1, { cause: error });
  }
}

function removeQuietly(directory: string): void {
  try {
    removeRuntime(directory);
  } catch {}
}

function freshOf(directory: string): string {
  return besideRuntime(directory, 'new');
}

function oldOf(directory: string): string {
  return besideRuntime(directory, 'old');
}
