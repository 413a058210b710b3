// SPDX-License-Identifier: Apache-2.0

/**
 * Directories of build caches, which the engine reads and writes itself, under sudo as root: then they may not lead root
 * elsewhere, and what is in them belongs to their owner afterwards.
 */

import { lchownSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { shown, usageError } from '../errors.ts';
import { makeDirectory, ownerOf } from '../fs/ownership.ts';

/**
 * Checks the directories that exist, where this is root.
 * @throws usageError for a link in one, and for a directory that links lead to and that is not its user's
 */
export function verifyCaches(directories: readonly string[]): void {
  if (process.geteuid?.() !== 0) return;
  for (const directory of directories) {
    const found = statSync(directory, { throwIfNoEntry: false });
    if (found?.isDirectory() !== true) continue;
    const user = ownerOf(directory)?.uid;
    const wrong =
      found.uid === user
        ? entriesIn(directory).find((path) => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
        : directory;
    if (wrong === undefined) continue;
    const what = wrong === directory ? 'leads to a directory of another user' : 'is a link';
    throw usageError(`${shown(wrong)} in the build cache ${what}, where root would write; remove it`);
  }
}

/** Creates the directories, runs a build that writes to them, and gives what root has written to their owners. */
export async function withCaches<T>(directories: readonly string[], build: () => Promise<T>): Promise<T> {
  for (const directory of directories) makeDirectory(directory);
  try {
    return await build();
  } finally {
    if (process.geteuid?.() === 0) for (const directory of directories) giveToOwner(directory);
  }
}

function giveToOwner(directory: string): void {
  const { uid, gid } = statSync(directory);
  if (uid === 0) return;
  for (const path of entriesIn(directory)) {
    if (lstatSync(path, { throwIfNoEntry: false })?.uid === 0) lchownSync(path, uid, gid);
  }
}

/** Everything in a directory; links are not followed. */
function entriesIn(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => join(parentPath, name));
}
