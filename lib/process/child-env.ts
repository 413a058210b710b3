// SPDX-License-Identifier: Apache-2.0

/** What a child process gets of the world: its environment, and whose it is under sudo. */

import type { Environment } from '../cli/env.ts';
import type { Invoker } from '../fs/ownership.ts';
import type { Command } from './command.ts';
import { searchPath } from './which.ts';

/**
 * The environment that a command is started with: the task's, what comes with the tool chain, and what the command
 * itself sets, with the directories of PATH that programs are looked for in.
 * @param invoker the user who called sudo
 */
export function childEnvironment(env: Environment, command: Command, invoker: Invoker | undefined): Environment {
  const own = command.asInvoker && invoker !== undefined ? { HOME: invoker.home, USER: invoker.user } : {};
  const all = { ...env, ...command.base, ...own, ...command.env };
  return { ...all, PATH: searchPath(all) };
}

/** The user of the child process, for `spawn`. */
export function childUser(command: Command, invoker: Invoker | undefined): { uid?: number; gid?: number } {
  return command.asInvoker && invoker !== undefined ? { uid: invoker.uid, gid: invoker.gid } : {};
}
