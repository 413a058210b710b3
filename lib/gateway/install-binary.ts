// SPDX-License-Identifier: Apache-2.0

/** Putting a binary where a gateway finds it: a second name of the same file where that is possible, else a copy. */

import { linkSync, lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Change, copyWhole, sweepTemporary } from '../files.ts';
import { makeFolder } from '../ownership.ts';

const EXECUTABLE = 0o755;

/**
 * Installs a binary with mode 0755. The source must be a file that is replaced and never written into.
 *
 * @throws TaskError with the system's reason
 */
export function installBinary(source: string, path: string): Change {
  makeFolder(dirname(path));
  sweepTemporary(path);
  if (isSameFile(source, path)) return 'unchanged';
  return (statSync(source).mode & 0o777) === EXECUTABLE && tryLink(source, path)
    ? 'written'
    : copyWhole(source, path, EXECUTABLE);
}

/** Two hundred megabytes are neither read nor written where both are in one file system. */
function tryLink(source: string, path: string): boolean {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    linkSync(source, temporary);
    renameSync(temporary, path);
    return true;
  } catch {
    // Another file system, or one without links: a copy says what is wrong if that fails, too.
    rmSync(temporary, { force: true });
    return false;
  }
}

function isSameFile(source: string, path: string): boolean {
  const [left, right] = [statSync(source), lstatSync(path, { throwIfNoEntry: false })];
  return right !== undefined && left.dev === right.dev && left.ino === right.ino;
}
