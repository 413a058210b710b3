// SPDX-License-Identifier: Apache-2.0

/** Paths: those that a user gives, relative to the directory that the task was started in, and the way up from one. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { failure, naming, usageError } from '../errors.ts';

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
  return orUndefined(() => readdirSync(directory)) ?? [];
}

/** The text of a regular file, also behind a link; `undefined` where it cannot be read, for whatever reason. */
export function textIn(path: string): string | undefined {
  return bytesIn(path)?.toString();
}

/** The same for its bytes. */
export function bytesIn(path: string): Buffer | undefined {
  return orUndefined(() => contentOf(path));
}

/** Which file is at a path: another one where it was replaced or written to. `undefined` where there is none. */
export function fileIdentity(path: string): string | undefined {
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  return file && `${file.dev} ${file.ino} ${file.size} ${file.mtimeNs}`;
}

/**
 * The bytes of a regular file, also behind a link. @throws the system's error with the path; failure for what is
 * something else: a FIFO would wait for its writer, and a device has no end
 */
export function contentOf(path: string): Buffer {
  return naming(path, () => {
    const stats = statSync(path);
    // Of a directory the system says it.
    if (stats.isFile() || stats.isDirectory()) return readFileSync(path);
    throw failure(`${path} is not a regular file; put one in its place`);
  });
}

/** What a body gives; `undefined` where it fails: what is done next tells the reason better, or it is in nobody's way. */
export function orUndefined<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch {
    return undefined;
  }
}

/** Runs a body; what goes wrong in it is wrong usage. @throws usageError with this message and the reason */
export function orUsageError<T>(message: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw usageError(message, { cause });
  }
}
