// SPDX-License-Identifier: Apache-2.0

/**
 * Files that others read appear whole: written to a temporary file in the same folder, flushed,
 * renamed. Unchanged content is left alone, so that caches keyed by it stay warm.
 */

import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

const CHUNK_BYTES = 1024 * 1024;

/** Whether a file was written, or had the content already. */
export type Change = 'written' | 'unchanged';

/** Writes a text file whole, with these permissions; its folder is created. */
export function writeWhole(path: string, text: string, mode: number): Change {
  if (isFile(path) && readFileSync(path, 'utf8') === text) return keepWithMode(path, mode);
  return replace(path, mode, (temporary) => writeFileSync(temporary, text, { flag: 'wx', mode }));
}

/** Copies a file whole, with these permissions; the destination's folder is created. */
export function copyWhole(source: string, path: string, mode: number): Change {
  if (isFile(path) && hasSameContent(source, path)) return keepWithMode(path, mode);
  return replace(path, mode, (temporary) =>
    copyFileSync(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
  );
}

/** Whether two files have the same bytes. */
export function hasSameContent(left: string, right: string): boolean {
  if (statSync(left).size !== statSync(right).size) return false;
  const handles = [openSync(left, 'r'), openSync(right, 'r')] as const;
  const chunks = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;
  try {
    for (;;) {
      const count = readSync(handles[0], chunks[0]);
      if (count !== readSync(handles[1], chunks[1])) return false;
      if (count === 0) return true;
      if (chunks[0].compare(chunks[1], 0, count, 0, count) !== 0) return false;
    }
  } finally {
    for (const handle of handles) closeSync(handle);
  }
}

/** Removes what interrupted writes of this file have left. Call it only where nobody else writes the file. */
export function sweepTemporary(path: string): void {
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`.${basename(path)}.`) && name.endsWith('.tmp')) rmSync(join(folder, name));
  }
}

function replace(path: string, mode: number, fill: (temporary: string) => void): Change {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  const temporary = join(folder, `.${basename(path)}.${process.pid}.tmp`);
  rmSync(temporary, { force: true });
  try {
    fill(temporary);
    // The umask has narrowed the mode that the file was created with.
    chmodSync(temporary, mode);
    flush(temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  flush(folder);
  return 'written';
}

function flush(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function keepWithMode(path: string, mode: number): Change {
  if ((statSync(path).mode & 0o7777) !== mode) chmodSync(path, mode);
  return 'unchanged';
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
