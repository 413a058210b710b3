// SPDX-License-Identifier: Apache-2.0

/** Staging a runtime: a new directory is filled beside the old one, and put in its place, with the old one's bundle. */

import { existsSync, lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { shown, usageError } from '../../errors.ts';
import { isFile, replaceWhole } from '../../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { bytesIn, contentOf, namesIn } from '../../fs/paths.ts';
import type { Place } from '../../fs/writable-places.ts';
import { compress, LEVEL } from '../../zstd/compress.ts';
import { readContent, ZstdError } from '../../zstd/decompress.ts';
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
} from '../runtime-files.ts';
import { type RuntimeConfig, wantedText } from './config.ts';
import { downloadsOf } from './releases.ts';

const MODE = 0o644;
/** What a runtime's directory may hold: this task's files, those of the bash tasks, and files that are being written. */
const OWN_NAMES =
  /^(?:(?:libkrun|libkrunfw|gvproxy|umoci|openshell-sandbox|rootfs)[\w.-]*\.zst|provenance\.json|\.(?:DS_Store|verified\.json|vm-bundle\.lock|[\w.-]+\.\d+\.tmp))$/;

/** The uncompressed files of a runtime by their names. */
export type Contents = Map<string, Buffer>;

/** The files that are staged, and what is recorded of them. */
export interface Collected extends Pick<RuntimeRecord, 'sources' | 'verified'> {
  readonly contents: Contents;
  /** The text of `provenance.json`. */
  readonly provenance?: string | undefined;
}

/** What is written. */
export function runtimePlaces(directory: string): Place[] {
  const paths = [dirname(directory), directory, beside(directory, 'new'), downloadsOf(directory)];
  return [
    { kind: 'opened', ...runtimeLock(directory) },
    ...paths.map((path) => ({ kind: 'directory', path, remedy: DIRECTORY_REMEDY }) as const),
  ];
}

/** @throws usageError for a directory that cannot be replaced whole, as it holds something else than a runtime */
export function verifyReplaceable(directory: string): void {
  // Whatever is wrong with the way to it, the check of the places tells.
  if (!existsSync(directory)) return;
  const found = lstatSync(directory);
  const isOwn = (name: string) => OWN_NAMES.test(name) && !lstatSync(join(directory, name)).isDirectory();
  const other = namesIn(directory).find((name) => !isOwn(name));
  if (found.isDirectory() && other === undefined) return;
  const what = found.isDirectory() ? `holds ${shown(other ?? '')}, which is not of a runtime` : 'is no directory';
  const text = `the VM runtime's directory ${shown(directory)} ${what}, and is replaced as a whole; ${DIRECTORY_REMEDY}`;
  throw usageError(text);
}

/** The content of a file that is staged; `undefined` where it is not whole. */
export function stagedContent(directory: string, name: string): Buffer | undefined {
  const path = join(directory, `${name}.zst`);
  try {
    return asOwner(path, () => readContent(path));
  } catch (error) {
    if (error instanceof ZstdError) return undefined;
    throw error;
  }
}

/** Stages a runtime; the caller holds the lock. What has the content already is compressed again only if forced. */
export async function stageRuntime(
  ctx: RunnerContext,
  config: RuntimeConfig,
  { contents, provenance, sources, verified }: Collected,
  isForced: boolean,
): Promise<'set up' | 'unchanged'> {
  const { directory, platform } = config;
  const names = runtimeNames(platform);
  const isKept = (name: string) => contents.get(name)?.equals(stagedContent(directory, name) ?? Buffer.alloc(0));
  const changed = names.filter((name) => isForced || !isKept(name));
  const files = new Map<string, Buffer>();
  const compressAll = async () => {
    for (const name of names) {
      const content = contents.get(name) as Buffer;
      const kept = changed.includes(name) ? undefined : contentOf(join(directory, `${name}.zst`));
      files.set(`${name}.zst`, kept ?? (await compress(content, ctx.signals.aborted)));
    }
  };
  const heading = `compression of ${changed.join(', ')} (zstd level ${LEVEL})`;
  await (changed.length > 0 ? ctx.terminal.section('compression', compressAll, heading) : compressAll());
  const digests = Object.fromEntries([...files].map(([name, content]) => [name, sha256Of(content)]));
  const record: RuntimeRecord = { platform, wanted: wantedText(config), sources, verified, files: digests };
  files.set(RECORD_FILE, Buffer.from(`${JSON.stringify(record, null, 2)}\n`));
  if (provenance !== undefined) files.set(PROVENANCE_FILE, Buffer.from(provenance));
  const bundle = join(directory, BUNDLE_FILE);
  const supervisor = isFile(bundle) ? asOwner(bundle, () => contentOf(bundle)) : undefined;
  if (supervisor !== undefined) files.set(BUNDLE_FILE, supervisor);
  const isSame = ([name, content]: [string, Buffer]) => bytesIn(join(directory, name))?.equals(content) === true;
  if (!isForced && [...files].every(isSame)) return 'unchanged';
  await replaceRuntime(ctx, directory, files);
  return 'set up';
}

async function replaceRuntime(ctx: RunnerContext, directory: string, files: Contents): Promise<void> {
  const [fresh, old] = [beside(directory, 'new'), beside(directory, 'old')];
  try {
    makeDirectory(fresh);
    for (const [name, content] of files) {
      await replaceWhole(join(fresh, name), MODE, async (_, output) => writeFileSync(output, content));
    }
    ctx.signals.throwIfReceived();
    // Between the two renames there is no runtime; `recoverRuntime` knows what a run that was killed there has left.
    asOwner(dirname(directory), () => {
      if (existsSync(directory)) renameSync(directory, old);
      renameSync(fresh, directory);
    });
    remove(old);
  } finally {
    remove(fresh);
  }
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
