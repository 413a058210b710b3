// SPDX-License-Identifier: Apache-2.0

/** Directories for temporary files, each with the name of its run: the next run removes what killed ones have left. */

import { hash, randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { describeError, shown, usageError } from '../errors.ts';
import { isSameProcess, pidNamespace } from '../process/identity.ts';
import { asOwner, isOfOther, ownerOf } from './ownership.ts';
import { namesIn } from './paths.ts';
import { verifyPlace } from './writable-places.ts';

/**
 * `TMPDIR`, but for root none of another user, who could lead root's programs from it to anywhere.
 * @throws usageError where nothing can be created in it, and for a relative path, which each program looks for elsewhere
 */
export function temporaryRoot(): string {
  const named = tmpdir();
  if (!isAbsolute(named) || !existsSync(named)) {
    throw usageError(`TMPDIR is ${shown(named)}; set it to the absolute path of a directory that exists`);
  }
  const path = isOfOther(named) ? '/tmp' : named;
  verifyPlace({ kind: 'directory', path, remedy: 'set TMPDIR to another directory' });
  return path;
}

/** Runs a body with a directory of its own, which is gone after it. @param prefix what its name begins with */
export async function withScratch<T>(prefix: string, body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(temporaryRoot(), prefix));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A name for this run that no other one has, of letters that a tag may have. */
export function newRunName(): string {
  return `${process.pid}-${pidSpace()}-${randomBytes(4).toString('hex')}`;
}

/** Whether what has this name was left by a run that has ended. Those of other machines and containers may still run. */
export function isLeftover(name: string): boolean {
  const [, pid, space] = /[-:]([1-9][0-9]*)-([0-9a-f]{8})-[0-9a-f]{8}$/.exec(name) ?? [];
  return space === pidSpace() && !isSameProcess({ pid: Number(pid) });
}

/** Where pids mean what they mean here. */
function pidSpace(): string {
  return hash('sha256', `${hostname()} ${pidNamespace()}`).slice(0, 8);
}

/**
 * Removes directories that runs have left beside that of this run, with names that begin with `prefix`.
 * @param warn told what cannot be removed: no other run needs those names
 */
export function removeScratch(
  scratch: string,
  prefix: string,
  isOver: (name: string) => boolean,
  warn: (reason: string) => void,
): void {
  const temporary = dirname(scratch);
  // What root creates in another user's directory is that user's.
  const uid = isOfOther(temporary) ? ownerOf(temporary)?.stats.uid : process.geteuid?.();
  for (const name of namesIn(temporary).filter((one) => one.startsWith(prefix) && isOver(one))) {
    const path = join(temporary, name);
    try {
      // The directory may be shared, and what others have left is theirs.
      if (lstatSync(path, { throwIfNoEntry: false })?.uid !== uid) continue;
      asOwner(path, () => rmSync(path, { recursive: true, force: true }));
    } catch (error) {
      warn(describeError(error));
    }
  }
}
