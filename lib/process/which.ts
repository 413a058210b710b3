// SPDX-License-Identifier: Apache-2.0

/** Finding programs on a PATH, without starting anything. */

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { MissingTool } from '../errors.ts';

/**
 * The absolute path of a program on the environment's PATH; `undefined` where there is none. Relative and empty entries
 * of PATH are skipped: they would mean another program in each directory.
 */
export function findProgram(name: string, env: Environment): string | undefined {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  return absoluteEntries(env)
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

/**
 * The PATH that children get: the directories that `findProgram` looks in and no others, so that they start what was
 * found. A child in the checkout would take `.`, an empty entry or `~` for a place that was not looked in.
 */
export function searchPath(env: Environment): string {
  // Without PATH bash has one of its own, and an empty one is the current directory: this one has no programs.
  return absoluteEntries(env).join(delimiter) || '/dev/null';
}

function absoluteEntries({ PATH = '' }: Environment): string[] {
  return PATH.split(delimiter).filter((directory) => isAbsolute(directory));
}

/**
 * The same for a program that a task cannot do without.
 * @param hint what the user can do about it
 * @throws MissingTool naming the program
 */
export function requireProgram(name: string, env: Environment, hint: string): string {
  const path = findProgram(name, env);
  if (path !== undefined) return path;
  throw new MissingTool(
    name.includes('/') ? `${name} is not an executable program; ${hint}` : `${name} is not on PATH; ${hint}`,
  );
}

/** Whether the path is a regular file that this user may execute. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Not there, not allowed, or behind a directory of PATH that this user may not enter.
    return false;
  }
}
