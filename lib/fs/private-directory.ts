// SPDX-License-Identifier: Apache-2.0

/**
 * Directories that hold keys, databases and sandbox disks: real directories of one user, closed to others, and never
 * reached through a link that another user could have put there.
 */

import { lchownSync, lstatSync, mkdirSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, shown, usageError } from '../errors.ts';
import { keepWithMode } from './atomic-write.ts';
import { asOwner, makeDirectory } from './ownership.ts';
import { verifyPlace } from './writable-places.ts';

const PRIVATE = 0o700;

/** Who may own a directory: the user of this process, and under sudo also the user who called it. */
export type Owners = readonly number[];

/**
 * Checks that the directory, which `source` names, can be used or created.
 * @throws usageError for a link, a file, a directory of another user, or a path that cannot be looked at or written to
 */
export function verifyPrivateDirectory(source: string, path: string, owners: Owners): void {
  verifyFound(source, path, owners);
  verifyPlace({ kind: 'directory', path, remedy: `set ${source} to another directory` });
}

/** Creates the directory with mode 0700, or narrows the one that exists. @throws usageError as `verifyPrivateDirectory` */
export function makePrivateDirectory(source: string, path: string, owners: Owners): void {
  try {
    makeDirectory(dirname(path));
    // Exclusive: between looking and creating, another user could have put a link here.
    asOwner(dirname(path), () => mkdirSync(path, { mode: PRIVATE }));
    // A new one is this user's where its owner may not be that of the directory around it.
    if (!owners.includes(lstatSync(path).uid)) lchownSync(path, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw unusable(source, path, error);
  }
  verifyFound(source, path, owners);
  keepWithMode(path, PRIVATE);
}

function unusable(source: string, path: string, cause: unknown) {
  return usageError(`${source} is ${shown(path)}, which cannot be used; set it to another directory`, { cause });
}

function verifyFound(source: string, path: string, owners: Owners): void {
  let found: Stats | undefined;
  try {
    found = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // It is below a file, too long, or in a directory that may not be read.
    throw unusable(source, path, error);
  }
  const wrong = found && whyNotPrivate(found, owners);
  if (wrong === undefined) return;
  throw usageError(
    `${source} is ${shown(path)}, which is ${wrong}; allowed is a directory of your own; remove it or set another one`,
  );
}

function whyNotPrivate(found: Stats, owners: Owners): string | undefined {
  if (found.isSymbolicLink()) return 'a link';
  if (!found.isDirectory()) return 'not a directory';
  if (!owners.includes(found.uid)) return `a directory of another user (uid ${found.uid})`;
  // Narrowed, as `/tmp` it would be lost to everybody else.
  return (found.mode & 0o002) === 0 ? undefined : 'a directory that all users may write to';
}

/** The owners of what this process creates for the user. */
export function ownersOf(invokerUid: number | undefined, euid: number = process.geteuid?.() ?? 0): Owners {
  return invokerUid === undefined ? [euid] : [euid, invokerUid];
}
