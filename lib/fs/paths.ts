// SPDX-License-Identifier: Apache-2.0

/** Paths: those that a user gives, relative to the directory that the task was started in, and the way up from one. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { naming } from '../errors.ts';

/** The absolute form of a path that a user gave. */
export function absolutePath(startDirectory: string, path: string): string {
  return isAbsolute(path) ? path : resolve(startDirectory, path);
}

/** The directory, the one that it is in, and so on. */
export function ancestorsOf(directory: string): string[] {
  const parent = dirname(directory);
  return parent === directory ? [directory] : [directory, ...ancestorsOf(parent)];
}

/** The names in a directory; empty where it cannot be listed: absent, another user's, or not a directory. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The text of a file; `undefined` where it cannot be read, for whatever reason. */
export function textIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Which file is at a path: another one where it was replaced or written to. `undefined` where there is none. */
export function fileIdentity(path: string): string | undefined {
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  return file && `${file.dev} ${file.ino} ${file.size} ${file.mtimeNs}`;
}

/**
 * The bytes of a file.
 * @throws the system's error, which names the path whatever fails
 */
export function contentOf(path: string): Buffer {
  return naming(path, () => readFileSync(path));
}
