// SPDX-License-Identifier: Apache-2.0

/**
 * Staging a runtime: a new directory is filled beside the old one, verified, and put in its place, with the supervisor's
 * bundle of the old one. What has the content already is not compressed again, and nothing else of the old one stays.
 */

import { existsSync, lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { megabytes } from '../../cli/terminal.ts';
import { errnoOf, failure, shown, usageError } from '../../errors.ts';
import { isFile, replaceWhole } from '../../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { bytesIn, contentOf, namesIn } from '../../fs/paths.ts';
import type { Place } from '../../fs/writable-places.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { decompress } from '../../zstd/decompress.ts';
import {
  BUNDLE_FILE,
  beside,
  DIRECTORY_REMEDY,
  PROVENANCE_FILE,
  RECORD_FILE,
  type RuntimeRecord,
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
 * Stages a runtime; the caller holds the lock. Until the new directory is whole, nothing has changed.
 * @throws InterruptedError on a signal
 */
export async function stageRuntime(ctx: RunnerContext, staging: Staging): Promise<Staged> {
  const { contents, directory, isForced, platform } = staging;
  recoverRuntime(directory);
  verifyReplaceable(directory);
  const names = runtimeNames(platform);
  const compressed = new Map<string, Buffer>();
  for (const name of names) {
    const kept = isForced ? undefined : keptFile(staging, name);
    if (kept !== undefined) compressed.set(name, kept);
  }
  const changed = names.filter((name) => !compressed.has(name));
  const compressAll = async () => {
    for (const name of changed) {
      compressed.set(name, await compress(contents.get(name) as Buffer, ctx.signals.aborted));
    }
  };
  const heading = `compression of ${changed.join(', ')} (zstd level ${LEVEL})`;
  if (changed.length > 0) await ctx.terminal.section('compression', compressAll, heading);
  const all = filesOf(staging, compressed);
  const isSame = (name: string, content: Buffer) => bytesIn(join(directory, name))?.equals(content) === true;
  const hasOther = namesIn(directory).some((name) => !name.startsWith('.') && !all.has(name));
  const isChanged = isForced || hasOther || ![...all].every(([name, content]) => isSame(name, content));
  if (isChanged) await replaceRuntime(ctx, directory, all);
  const lines = names.map((name) => {
    const [size, compressedSize] = [contents, compressed].map((files) => megabytes(files.get(name)?.length ?? 0));
    return `${changed.includes(name) ? 'compressed' : 'unchanged'}: ${name}.zst (${size} in ${compressedSize})`;
  });
  return { isChanged, lines };
}

/** A compressed file that the directory has already, whole and of this content. */
function keptFile({ contents, directory }: Staging, name: string): Buffer | undefined {
  const path = join(directory, `${name}.zst`);
  const compressed = isFile(path) ? bytesIn(path) : undefined;
  try {
    return compressed && contents.get(name)?.equals(decompress(compressed)) ? compressed : undefined;
  } catch {
    // It is compressed again.
    return undefined;
  }
}

/** Everything that the new directory has: the supervisor's bundle of the old one, too. */
function filesOf({ directory, platform, provenance, record }: Staging, compressed: ReadonlyMap<string, Buffer>) {
  const files = new Map(runtimeNames(platform).map((name) => [`${name}.zst`, compressed.get(name) as Buffer]));
  const digests = Object.fromEntries([...files].map(([name, content]) => [name, sha256Of(content)]));
  const bundle = join(directory, BUNDLE_FILE);
  if (isFile(bundle))
    files.set(
      BUNDLE_FILE,
      asOwner(bundle, () => contentOf(bundle)),
    );
  if (provenance !== undefined) files.set(PROVENANCE_FILE, Buffer.from(provenance));
  const text = `${JSON.stringify({ platform, ...record, files: digests }, null, 2)}\n`;
  return files.set(RECORD_FILE, Buffer.from(text));
}

async function replaceRuntime(
  ctx: RunnerContext,
  directory: string,
  files: ReadonlyMap<string, Buffer>,
): Promise<void> {
  const fresh = beside(directory, 'new');
  try {
    makeDirectory(fresh);
    for (const [name, content] of files) {
      await replaceWhole(join(fresh, name), MODE, async (_, output) => writeFileSync(output, content));
    }
    ctx.signals.throwIfReceived();
    swap(fresh, directory);
  } finally {
    remove(fresh);
  }
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
  const hasOld = lstatSync(old, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!existsSync(directory) && hasOld) asOwner(dirname(directory), () => renameSync(old, directory));
  remove(old);
  remove(beside(directory, 'new'));
}

/** Removes a directory of ours, where it is. Of a link nothing behind it goes. */
function remove(directory: string): void {
  asOwner(dirname(directory), () => rmSync(directory, { force: true, recursive: true }));
}
