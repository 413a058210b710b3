// SPDX-License-Identifier: Apache-2.0

/**
 * Under sudo nothing in the user's directories becomes root's: what root creates in another user's directory belongs to
 * that user, and commands that need no privilege run as the user.
 */

import { existsSync, lchownSync, lstatSync, mkdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { EXIT, errnoOf, failure } from '../errors.ts';
import { ancestorsOf, textIn } from './paths.ts';

/** The user who called sudo. */
export interface Invoker {
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  /** Absolute. */
  readonly home: string;
}

/** What the machine knows, as values for tests. */
interface UserFacts {
  readonly platform: NodeJS.Platform;
  readonly euid: number | undefined;
  /** The text of `/etc/passwd`. */
  readonly passwd: () => string;
}

const THIS_MACHINE: UserFacts = {
  platform: process.platform,
  euid: process.geteuid?.(),
  passwd: () => textIn('/etc/passwd') ?? '',
};

/** The user behind sudo; `undefined` where this is no sudo, or root called it. */
export function invokerOf(env: Environment, facts: UserFacts = THIS_MACHINE): Invoker | undefined {
  const user = textOf(env, 'SUDO_USER');
  const [uid, gid] = ['SUDO_UID', 'SUDO_GID'].map((name) => textOf(env, name));
  if (facts.euid !== 0 || user === undefined || user === 'root' || !isId(uid) || !isId(gid) || Number(uid) === 0) {
    return undefined;
  }
  return { uid: Number(uid), gid: Number(gid), user, home: homeOfUser(uid, user, facts) };
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^[0-9]{1,10}$/.test(text);
}

/** Users of a directory service are not in the file, and neither are those of macOS: then the usual place. */
function homeOfUser(uid: string, user: string, facts: UserFacts): string {
  const fields = facts
    .passwd()
    .split('\n')
    .map((line) => line.split(':'))
    .find((line) => line[2] === uid);
  return fields?.[5] || `${facts.platform === 'darwin' ? '/Users' : '/home'}/${user}`;
}

/** Gives a new file or directory to the owner of the directory that it is in, where root has created it there. */
export function takeDirectoryOwner(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const directory = lstatSync(dirname(path));
  const own = lstatSync(path);
  if (own.uid === 0 && directory.uid !== 0) lchownSync(path, directory.uid, directory.gid);
}

/**
 * Creates a directory and those above it, each with the owner of the one that it is in. One by one: Node's own
 * recursion does not end where a directory can neither be found nor created, as below /proc.
 * @throws failure with the system's reason
 */
export function makeDirectory(path: string, mode?: number): void {
  try {
    for (const directory of missingDirectories(path)) createOne(directory, mode);
    if (!statSync(path).isDirectory()) throw new Error('it is not a directory');
  } catch (cause) {
    throw failure(`the directory ${path} cannot be created`, EXIT.failed, { cause });
  }
}

/** The directories on the way to a path that do not exist, the outermost first. */
function missingDirectories(path: string): string[] {
  const all = ancestorsOf(path);
  const first = all.findIndex((directory) => existsSync(directory));
  return all.slice(0, first).reverse();
}

function createOne(directory: string, mode: number | undefined): void {
  try {
    mkdirSync(directory, mode === undefined ? {} : { mode });
  } catch (error) {
    // Another process may have created it by now, and then sets its owner.
    if (errnoOf(error) === 'EEXIST') return;
    throw error;
  }
  takeDirectoryOwner(directory);
}

/** The home directory that the tasks' registration and caches belong in; `undefined` where there is none. */
export function homeOf(env: Environment): string | undefined {
  return textOf(env, 'HOME') ?? (homedir() || undefined);
}
