// SPDX-License-Identifier: Apache-2.0

/** Files appear whole: written beside their place, flushed, renamed. What is unchanged stays, for caches keyed by it. */

import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, errnoOf, failure } from '../errors.ts';
import { asOwner, look, makeDirectory } from './ownership.ts';
import { contentOf, namesIn, orUndefined } from './paths.ts';

/** The temporary file is a new one, readable for its owner alone. */
const PRIVATE = { flag: 'wx', mode: 0o600 } as const;

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
  const content = asOwner(source, () => contentOf(source));
  return write(path, content, mode, verifyCopy);
}

function write(path: string, content: Buffer, mode: number, verify?: (temporary: string) => void): Change {
  if (isFile(path) && statSync(path).size === content.length && contentOf(path).equals(content)) {
    return keepWithMode(path, mode);
  }
  try {
    prepare(path);
    asOwner(dirname(path), () => writeFileSync(temporaryOf(path), content, { ...PRIVATE, flush: true }));
    verify?.(temporaryOf(path));
    finish(path, mode);
  } catch (error) {
    throw unwritten(path, error);
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
  try {
    prepare(path);
    const output = asOwner(dirname(path), () => openSync(temporaryOf(path), PRIVATE.flag, PRIVATE.mode));
    try {
      await fill(temporaryOf(path), output);
      fsyncSync(output);
    } finally {
      closeSync(output);
    }
    finish(path, mode);
  } catch (error) {
    throw unwritten(path, error);
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
    if (pid !== undefined && !isBusy(Number(pid))) remove(join(directory, name));
  }
}

/** The temporary file that stands for `path` until it is renamed; `sweepTemporary` knows the name. */
export function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
}

function prepare(path: string): void {
  makeDirectory(dirname(path));
  remove(temporaryOf(path));
}

function finish(path: string, mode: number): void {
  asOwner(dirname(path), () => {
    chmodSync(temporaryOf(path), mode);
    renameSync(temporaryOf(path), path);
    // The file is there, whole; not every file system can flush a directory as well, or lets it be opened.
    orUndefined(() => {
      const directory = openSync(dirname(path), 'r');
      orUndefined(() => fsyncSync(directory));
      closeSync(directory);
    });
  });
}

/** The error to report, once the temporary file is gone. */
function unwritten(path: string, error: unknown): unknown {
  remove(temporaryOf(path));
  return errnoOf(error) === undefined ? error : failure(`${path} cannot be written`, EXIT.failed, { cause: error });
}

function remove(temporary: string): void {
  orUndefined(() => asOwner(dirname(temporary), () => rmSync(temporary, { force: true })));
}

/** Gives a file that stays as it is these permissions. */
export function keepWithMode(path: string, mode: number): Change {
  if ((statSync(path).mode & 0o7777) !== mode) asOwner(path, () => chmodSync(path, mode));
  return 'unchanged';
}

/** A link is not the file: it is replaced, so that what it points at is neither read for ours nor changed. */
export function isFile(path: string): boolean {
  return look(path)?.isFile() === true;
}
