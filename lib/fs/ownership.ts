// SPDX-License-Identifier: Apache-2.0

/**
 * Under sudo nothing in the person's folders becomes root's: what root makes in a folder of
 * somebody else belongs to that one, and commands that need no privilege run as the person.
 */

import { existsSync, lchownSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { EXIT, failure } from '../errors.ts';
import { ancestorsOf } from './paths.ts';

/** The person who called sudo. */
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
  passwd: () => {
    try {
      return readFileSync('/etc/passwd', 'utf8');
    } catch {
      return '';
    }
  },
};

/** The person behind sudo; `undefined` where this is no sudo, or root called it. */
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

/** Gives a new file or folder to the owner of the folder that it is in, where root has made it there. */
export function takeFolderOwner(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const folder = lstatSync(dirname(path));
  const own = lstatSync(path);
  if (own.uid === 0 && folder.uid !== 0) lchownSync(path, folder.uid, folder.gid);
}

/**
 * Makes a folder and those above it, each with the owner of the one that it is in. One by one: Node's
 * own recursion does not end where a folder can neither be found nor made, as below /proc.
 *
 * @throws failure with the system's reason
 */
export function makeFolder(path: string, mode?: number): void {
  try {
    for (const folder of missingFolders(path)) makeOne(folder, mode);
    if (!statSync(path).isDirectory()) throw new Error('it is no folder');
  } catch (cause) {
    throw failure(`the folder ${path} cannot be made`, EXIT.failed, { cause });
  }
}

/** The folders on the way to a path that are not there, the outermost first. */
function missingFolders(path: string): string[] {
  const all = ancestorsOf(path);
  const there = all.findIndex((folder) => existsSync(folder));
  return all.slice(0, there).reverse();
}

function makeOne(folder: string, mode: number | undefined): void {
  try {
    mkdirSync(folder, mode === undefined ? {} : { mode });
  } catch (error) {
    // Another process may have made it meanwhile; then its owner is that one's business.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  takeFolderOwner(folder);
}

/** The home folder that the tasks' registration and caches belong in; `undefined` where there is none. */
export function homeOf(env: Environment): string | undefined {
  return textOf(env, 'HOME') ?? (homedir() || undefined);
}
