// SPDX-License-Identifier: Apache-2.0

/** Paths that a person gives: relative ones are relative to the folder that the task was started in. */

import { isAbsolute, resolve } from 'node:path';

/** The absolute form of a path that a person gave. */
export function absolutePath(startDirectory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(startDirectory, path);
}
