// SPDX-License-Identifier: Apache-2.0

/** Paths: those that a user gives, relative to the directory that the task was started in, and the way up from one. */

import { dirname, isAbsolute, resolve } from 'node:path';

/** The absolute form of a path that a user gave. */
export function absolutePath(startDirectory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(startDirectory, path);
}

/** The directory, the one that it is in, and so on. */
export function ancestorsOf(directory: string): string[] {
  const parent = dirname(directory);
  return parent === directory ? [directory] : [directory, ...ancestorsOf(parent)];
}
