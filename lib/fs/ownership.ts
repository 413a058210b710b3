// SPDX-License-Identifier: Apache-2.0

/**
 * Under sudo nothing in the user's directories becomes root's, and nothing that is planted there leads root elsewhere:
 * what root does in another user's directory it does as that user, and commands that need no privilege run as the user.
 */

import { existsSync, lstatSync, mkdirSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Environment, textOf } from '../cli/env.ts';
import { EXIT, errnoOf, failure } from '../errors.ts';
import { ancestorsOf, orUndefined, textIn } from './paths.ts';

/** The user who called sudo. */
export interface Invoker {
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  readonly home: string | undefined;
  readonly homeProblem?: string;
}

/** The user behind sudo; `undefined` where this is no sudo, or root called it. */
export function invokerOf(
  env: Environment,
  { euid, passwd } = { euid: process.geteuid?.(), passwd: () => textIn('/etc/passwd') ?? '' },
): Invoker | undefined {
  const user = textOf(env, 'SUDO_USER');
  const [uid, gid] = [Number(textOf(env, 'SUDO_UID')), Number(textOf(env, 'SUDO_GID'))];
  if (euid !== 0 || user === undefined || !(uid > 0) || !(gid >= 0)) return undefined;
  return { uid, gid, user, home: homeIn(passwd(), uid) };
}

/** The home of a user in lines of `/etc/passwd`, where users of a directory service are not, and not those of macOS. */
export function homeIn(passwd: string, uid: number): string | undefined {
  const fields = passwd.split('\n').map((line) => line.split(':'));
  return fields.find(([, , id]) => id === String(uid))?.[5] || undefined;
}

/**
 * Does synchronous work on a path as the user to whom its place belongs, with no more power than that user. It is done
 * as it is where this is not root, or a root who may not become another user (in a container), and where the user cannot
 * even reach the place (a checkout below /root in a container).
 */
export function asOwner<T>(path: string, work: () => T): T {
  const owner = process.geteuid?.() === 0 ? ownerOf(path) : undefined;
  if (owner === undefined || owner.stats.uid === 0) return work();
  const { gid, uid } = owner.stats;
  const own = { gid: process.getegid?.() ?? 0, groups: process.getgroups?.() ?? [] };
  let [isChanged, isReached] = [false, false];
  try {
    process.setgroups?.([gid]);
    isChanged = true;
    process.setegid?.(gid);
    process.seteuid?.(uid);
    isReached = look(owner.path) !== undefined;
    if (isReached) return work();
  } catch (error) {
    if (isReached) throw error;
  } finally {
    process.seteuid?.(0);
    process.setegid?.(own.gid);
    if (isChanged) process.setgroups?.(own.groups);
  }
  return work();
}

/** Makes a root that has nothing more to do the user to whom the place of a path belongs, for good. */
export function becomeOwner(path: string): void {
  const { gid, uid } = ownerOf(path)?.stats ?? { gid: 0, uid: 0 };
  // A root without that power in a container is none on the host.
  orUndefined(() => {
    process.setgroups?.([gid]);
    process.setgid?.(gid);
    process.setuid?.(uid);
  });
}

/** Whether this is root, and a path is in another user's directory. */
export function isOfOther(path: string): boolean {
  return process.geteuid?.() === 0 && (ownerOf(path)?.stats.uid ?? 0) !== 0;
}

/**
 * Who decides what is at a path, and by what: the owner of its last directory that exists, or of the first link on the
 * way that is not root's, because a link leads its owner's way. It follows as many as the system (path_resolution(7)).
 */
export function ownerOf(path: string, linksLeft = 40): { readonly path: string; readonly stats: Stats } | undefined {
  let owner: ReturnType<typeof ownerOf>;
  for (const place of ancestorsOf(path).reverse()) {
    const stats = look(place);
    if (stats === undefined) break;
    owner = { path: place, stats };
    if (!stats.isSymbolicLink()) continue;
    if (stats.uid !== 0 || linksLeft === 0) return owner;
    const target = resolve(dirname(place), readlinkSync(place));
    owner = ownerOf(target, linksLeft - 1) ?? owner;
    if (owner.stats.isSymbolicLink()) return owner;
  }
  return owner;
}

/** What is at a path. */
export function look(path: string, stat: (path: string) => Stats = lstatSync): Stats | undefined {
  return orUndefined(() => stat(path));
}

/** Creates a directory and those above it, each with the owner of the one that it is in; Node's way loops below /proc. */
export function makeDirectory(path: string, mode?: number): void {
  const missing = ancestorsOf(path).filter((directory) => !existsSync(directory));
  try {
    for (const directory of missing.reverse()) {
      try {
        asOwner(dirname(directory), () => mkdirSync(directory, mode));
      } catch (error) {
        // Another process may have created it by now.
        if (errnoOf(error) !== 'EEXIST') throw error;
      }
    }
    if (!statSync(path).isDirectory()) throw new Error('it is not a directory');
  } catch (cause) {
    throw failure(`the directory ${path} cannot be created`, EXIT.failed, { cause });
  }
}
