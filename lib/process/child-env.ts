// SPDX-License-Identifier: Apache-2.0

/** What a child process gets of the world: its environment, and whose it is under sudo. */

import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { type Invoker, ownerOf } from '../fs/ownership.ts';
import type { Command } from './command.ts';
import { findProgram, searchPath } from './which.ts';

declare global {
  namespace NodeJS {
    interface Process {
      /** Missing in the type declarations (https://nodejs.org/api/process.html#processinitgroupsuser-extragroup). */
      initgroups?(user: number, extraGroup: number): void;
    }
  }
}

/**
 * The environment that a command is started with: the task's, what comes with the tool chain, and what the command
 * itself sets, with the directories of PATH that programs are looked for in.
 * @param invoker the user who called sudo
 */
export function childEnvironment(env: Environment, command: Command, invoker: Invoker | undefined): Environment {
  const user = userOf(command, { ...env, ...command.base, ...command.env }, invoker);
  const own = user === undefined ? {} : { HOME: user.home, USER: user.user };
  const all = { ...env, ...command.base, ...own, ...command.env };
  return { ...all, PATH: searchPath(all) };
}

/**
 * How the child process becomes its user's: through `setpriv`, which gives it all groups of the user; where there is
 * none, or the system does not know the user, by the ids for `spawn`, with no group but the user's own.
 * @param env the child's
 */
export function childUser(
  command: Command,
  env: Environment,
  invoker: Invoker | undefined,
): { readonly lead: readonly string[]; readonly ids: { uid?: number; gid?: number } } {
  const user = userOf(command, env, invoker);
  if (user === undefined) return { lead: [], ids: {} };
  const { gid, uid } = user;
  const setpriv = findProgram('setpriv', env);
  // That of busybox cannot do this.
  const groups = setpriv === undefined || realpathSync(setpriv).endsWith('/busybox') ? undefined : groupsOf(user);
  if (setpriv === undefined || groups === undefined) return { lead: [], ids: { uid, gid } };
  return { lead: [setpriv, `--reuid=${uid}`, `--regid=${gid}`, `--groups=${groups.join(',')}`, '--'], ids: {} };
}

/** What the system says; the older `setpriv` of RHEL 8 does not ask it. */
function groupsOf({ gid, uid }: Invoker): readonly number[] | undefined {
  const own = process.getgroups?.() ?? [];
  try {
    process.initgroups?.(uid, gid);
    // Node always adds the group of this process.
    return process.getgroups?.().filter((group) => group !== process.getegid?.());
  } catch {
    return undefined;
  } finally {
    if (process.geteuid?.() === 0) process.setgroups?.(own);
  }
}

/** The user of a command; root itself in a checkout of root's, where the user could not write. */
function userOf({ asInvoker, cwd }: Command, env: Environment, invoker: Invoker | undefined): Invoker | undefined {
  if (!asInvoker || invoker === undefined) return undefined;
  const places = [cwd, resolve(cwd, env.CARGO_TARGET_DIR || 'target')];
  const isOfRoot = cwd !== '/' && places.every((path) => ownerOf(path)?.stats.uid === 0);
  return isOfRoot ? undefined : invoker;
}
