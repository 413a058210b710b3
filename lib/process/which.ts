// SPDX-License-Identifier: Apache-2.0

/** Finding programs on a PATH, without starting anything. */

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { MissingTool } from '../errors.ts';

/** The absolute path of a program on PATH; relative and empty entries would mean another one in each directory. */
export function findProgram(name: string, env: Environment): string | undefined {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  const paths = absoluteEntries(env).map((directory) => join(directory, name));
  return paths.find(isExecutable);
}

/** The PATH that children get: the directories that `findProgram` looks in and no others, so that they start the same. */
export function searchPath(env: Environment): string {
  // Without PATH bash has one of its own, and an empty one is the current directory: this one has no programs.
  return absoluteEntries(env).join(delimiter) || '/dev/null';
}

function absoluteEntries({ PATH = '' }: Environment): string[] {
  return PATH.split(delimiter).filter((directory) => isAbsolute(directory));
}

/** `findProgram` for what a task cannot do without. @throws MissingTool naming the program, and what to do */
export function requireProgram(name: string, env: Environment, hint: string): string {
  const path = findProgram(name, env);
  if (path !== undefined) return path;
  throw new MissingTool(`${name} is not ${name.includes('/') ? 'an executable program' : 'on PATH'}; ${hint}`);
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
