// SPDX-License-Identifier: Apache-2.0

/** Directories that one gateway has at a time: from the start of its launch until it ends. */

import { join } from 'node:path';
import type { VariableName } from '../cli/variables.ts';
import { type TaskError, usageError } from '../errors.ts';
import { type Held, holderText, takeLock, whoHolds } from '../fs/lock.ts';
import type { LaunchContext } from './config.ts';

/** A directory of a gateway, absolute, and the variable that names it. */
export interface OwnDirectory {
  readonly path: string;
  readonly source: VariableName;
  /** The name of its lock: two directories of a launch may be one. */
  readonly lock: '.launch.lock' | '.driver.lock';
}

/** The other launch or gateway that has it; `undefined` where none has. */
export function whoHasIt(directory: OwnDirectory): Promise<Held | undefined> {
  return whoHolds(placeOf(directory));
}

/** @throws usageError saying which other launch or gateway has it */
export async function verifyUnused(directory: OwnDirectory): Promise<void> {
  const held = await whoHasIt(directory);
  if (held !== undefined) throw inUse(directory, held);
}

/** Takes the directory for this launch and its gateway. @throws usageError as `verifyUnused` does */
export async function takeDirectory({ locks }: LaunchContext, directory: OwnDirectory, task: string): Promise<void> {
  const lock = await takeLock(placeOf(directory), task);
  if (!('release' in lock)) throw inUse(directory, lock);
  locks.push(lock);
}

function placeOf({ path, source, lock }: OwnDirectory) {
  return { path: join(path, lock), remedy: `set ${source} to a directory on another file system` };
}

function inUse({ path, source }: OwnDirectory, held: Held): TaskError {
  return usageError(`${path} is in use by ${holderText(held)}; stop it, or set ${source} to another directory`);
}
