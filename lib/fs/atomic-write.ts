// SPDX-License-Identifier: Apache-2.0

/**
 * Files that others read appear whole: written to a temporary file in the same directory, flushed, renamed. Unchanged
 * content is left alone, so that caches keyed by it stay warm.
 */

import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, errnoOf, failure, naming } from '../errors.ts';
import { asOwner, isOfOther, makeDirectory } from './ownership.ts';
import { contentOf, namesIn } from './paths.ts';

const CHUNK_BYTES = 1024 * 1024;

/** Whether a file was written, or had the content already. */
export type Change = 'written' | 'unchanged';

/** Writes a text file whole, with these permissions; its directory is created. */
export function writeWhole(path: string, text: string, mode: number): Change {
  if (isFile(path) && contentOf(path).toString() === text) return keepWithMode(path, mode);
  return replace(path, mode, (_, output) => writeFileSync(output, text));
}

/**
 * Copies a file whole, with these permissions; the destination's directory is created.
 * @param verifyCopy looks at the copy before anybody else can; when it throws, nothing has changed
 */
export function copyWhole(source: string, path: string, mode: number, verifyCopy?: (copy: string) => void): Change {
  if (isFile(path) && hasSameContent(source, path)) return keepWithMode(path, mode);
  return replace(path, mode, (temporary, output) => {
    // In another user's directory root does not open the name again: it may be a link by now.
    if (!isOfOther(source) && fstatSync(output).uid === process.geteuid?.())
      copyFileSync(source, temporary, constants.COPYFILE_FICLONE);
    else copyInto(output, source);
    verifyCopy?.(temporary);
  });
}

function copyInto(output: number, source: string): void {
  const input = asOwner(source, () => openSync(source, 'r'));
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  try {
    for (let count = readSync(input, chunk); count > 0; count = readSync(input, chunk)) {
      writeFileSync(output, chunk.subarray(0, count));
    }
  } finally {
    closeSync(input);
  }
}

/** Whether two files have the same bytes. */
export function hasSameContent(left: string, right: string): boolean {
  if (statSync(left).size !== statSync(right).size) return false;
  const open = (path: string) => asOwner(path, () => openSync(path, 'r'));
  const handles = [open(left), open(right)] as const;
  const chunks = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
  try {
    for (;;) {
      const count = naming(left, () => readSync(handles[0], chunks[0]));
      if (count !== naming(right, () => readSync(handles[1], chunks[1]))) return false;
      if (count === 0) return true;
      if (chunks[0].compare(chunks[1], 0, count, 0, count) !== 0) return false;
    }
  } finally {
    for (const handle of handles) closeSync(handle);
  }
}

/**
 * Removes what interrupted writes of this file have left. Call it only where no other run writes the file, or say which
 * process is still at it.
 */
export function sweepTemporary(path: string, isBusy: (pid: number) => boolean = () => false): void {
  const directory = dirname(path);
  const lead = `.${basename(path)}.`;
  for (const name of namesIn(directory)) {
    // A pid and nothing else: `.a.b.1.tmp` belongs to the file `a.b`.
    const [, pid] = name.startsWith(lead) ? (/^(\d+)\.tmp$/.exec(name.slice(lead.length)) ?? []) : [];
    if (pid === undefined || isBusy(Number(pid))) continue;
    try {
      asOwner(directory, () => rmSync(join(directory, name)));
    } catch {
      // It is in nobody's way; where it is, writing tells it better.
    }
  }
}

/**
 * Makes a new file in the place of `path` and its content, whole, with these permissions.
 * @param fill writes to the descriptor of the temporary file; when it throws, nothing has changed
 * @throws TaskError with the system's reason: no space, no permission, a directory in the way; or what `fill` throws
 */
export async function replaceWhole(
  path: string,
  mode: number,
  fill: (temporary: string, output: number) => Promise<void>,
): Promise<void> {
  const temporary = temporaryOf(path);
  try {
    const output = create(temporary);
    await fill(temporary, output).finally(() => closeSync(output));
    finish(temporary, path, mode);
  } catch (error) {
    throw unwritten(path, temporary, error);
  }
}

/** The same for a content that is known. */
function replace(path: string, mode: number, fill: (temporary: string, output: number) => void): Change {
  const temporary = temporaryOf(path);
  try {
    const output = create(temporary);
    try {
      fill(temporary, output);
    } finally {
      closeSync(output);
    }
    finish(temporary, path, mode);
  } catch (error) {
    throw unwritten(path, temporary, error);
  }
  return 'written';
}

/** The temporary file that stands for `path` until it is renamed; `sweepTemporary` knows the name. */
export function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}

/** Creates the temporary file, readable for its owner alone, and opens it. */
function create(temporary: string): number {
  const directory = dirname(temporary);
  makeDirectory(directory);
  return asOwner(directory, () => {
    rmSync(temporary, { force: true });
    return openSync(temporary, 'wx', 0o600);
  });
}

function finish(temporary: string, path: string, mode: number): void {
  asOwner(dirname(path), () => {
    chmodSync(temporary, mode);
    flush(temporary);
    renameSync(temporary, path);
    flushDirectory(dirname(path));
  });
}

/**
 * The error to report, once the temporary file is gone; where that cannot be removed either, the first error counts.
 */
function unwritten(path: string, temporary: string, error: unknown): unknown {
  try {
    asOwner(dirname(path), () => rmSync(temporary, { force: true }));
  } catch {}
  return errnoOf(error) === undefined ? error : failure(`${path} cannot be written`, EXIT.failed, { cause: error });
}

function flush(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The file is there, whole; not every file system can flush a directory as well, or lets it be opened. */
function flushDirectory(path: string): void {
  try {
    flush(path);
  } catch {}
}

/** Gives a file that stays as it is these permissions. */
export function keepWithMode(path: string, mode: number): Change {
  if ((statSync(path).mode & 0o7777) !== mode) asOwner(path, () => chmodSync(path, mode));
  return 'unchanged';
}

/** A link is not the file: it is replaced, so that what it points at is neither read for ours nor changed. */
export function isFile(path: string): boolean {
  try {
    return lstatSync(path).isFile();
  } catch {
    // Whatever is wrong with the path, writing tells it better.
    return false;
  }
}
