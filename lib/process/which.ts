// SPDX-License-Identifier: Apache-2.0

/** Finding programs on a PATH, without starting anything. */

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { usageError } from '../errors.ts';

/**
 * The absolute path of a program on the environment's PATH; `undefined` where there is none. Relative and empty entries
 * of PATH are skipped: they would mean another program in each directory.
 */
export function findProgram(name: string, env: Environment): string | undefined {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  for (const directory of (env.PATH ?? '').split(delimiter)) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, name);
    if (isExecutable(path)) return path;
  }
  return undefined;
}

/**
 * The same for a program that a task cannot do without.
 * @param hint what the user can do about it
 * @throws usageError naming the program
 */
export function requireProgram(name: string, env: Environment, hint: string): string {
  const path = findProgram(name, env);
  if (path !== undefined) return path;
  throw usageError(
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
