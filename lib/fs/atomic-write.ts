// SPDX-License-Identifier: Apache-2.0

/**
 * Files that others read appear whole: written to a temporary file in the same directory, flushed, renamed. Unchanged
 * content is left alone, so that caches keyed by it stay warm.
 */

import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, errnoOf, failure } from '../errors.ts';
import { asOwner, makeDirectory } from './ownership.ts';
import { contentOf, namesIn } from './paths.ts';

/** Whether a file was written, or had the content already. */
export type Change = 'written' | 'unchanged';

/** Writes a text file whole, with these permissions; its directory is created. */
export function writeWhole(path: string, text: string, mode: number): Change {
  return write(path, Buffer.from(text), mode);
}

/**
 * The same with the content of another file.
 * @param verifyCopy looks at the copy before anybody else can; when it throws, nothing has changed
 */
export function copyWhole(source: string, path: string, mode: number, verifyCopy?: (copy: string) => void): Change {
  return write(
    path,
    asOwner(source, () => contentOf(source)),
    mode,
    verifyCopy,
  );
}

function write(path: string, content: Buffer, mode: number, verify?: (temporary: string) => void): Change {
  const isSame = isFile(path) && statSync(path).size === content.length && contentOf(path).equals(content);
  if (isSame && isKept(path, mode)) return 'unchanged';
  const temporary = temporaryOf(path);
  try {
    const output = create(temporary);
    try {
      writeFileSync(output, content);
    } finally {
      closeSync(output);
    }
    verify?.(temporary);
    finish(temporary, path, mode);
  } catch (error) {
    throw unwritten(path, temporary, error);
  }
  return 'written';
}

/**
 * The same with what `fill` writes to the descriptor of the temporary file; when it throws, nothing has changed.
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
    try {
      flush(dirname(path));
    } catch {
      // The file is there, whole; not every file system can flush a directory as well, or lets it be opened.
    }
  });
}

/** The error to report, once the temporary file is gone; where that cannot be removed either, the first error counts. */
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

/** Gives a file that stays as it is these permissions. */
export function keepWithMode(path: string, mode: number): Change {
  if ((statSync(path).mode & 0o7777) !== mode) asOwner(path, () => chmodSync(path, mode));
  return 'unchanged';
}

/** Whether a file has these permissions now; one of another user in our directory can only be replaced. */
function isKept(path: string, mode: number): boolean {
  try {
    keepWithMode(path, mode);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EPERM') return false;
    throw error;
  }
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
