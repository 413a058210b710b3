// SPDX-License-Identifier: Apache-2.0

/** Paths: those that a person gives, relative to the folder that the task was started in, and the way up from one. */

import { dirname, isAbsolute, resolve } from 'node:path';

/** The absolute form of a path that a person gave. */
export function absolutePath(startDirectory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(startDirectory, path);
}

/** The folder, the one that it is in, and so on. */
export function ancestorsOf(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestorsOf(parent)];
}
