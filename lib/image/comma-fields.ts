// SPDX-License-Identifier: Apache-2.0

/** `--output` values and their like: comma-separated `key=value` pairs, where a pair may be quoted (RFC 4180). */

import { notAllowed } from '../cli/env.ts';

/** The engines take no blanks beside quotes. */
const PAIR = '(?:\\s*[A-Za-z][^=\\s",]*=[^",]*|"(?:[^"]|"")+")';
const TYPE = /(?:^|,)\s*"?type=[^\s",]+(?:[",]|$)/i;
const PAIRS = new RegExp(`^${PAIR}(?:,${PAIR})*$`);

/**
 * Checks an output; a relative destination in it is relative to the directory that the build command runs in.
 * @throws usageError unless it is `key=value` pairs with a `type`
 */
export function verifyOutput(source: string, text: string): string {
  if (/(?:^|,)\s*"?dest=-(?:[",]|$)/.test(text)) {
    throw notAllowed(
      source,
      text,
      'are destinations that are files or directories: stdout is for the result of the task',
    );
  }
  if (PAIRS.test(text) && TYPE.test(text)) return text;
  throw notAllowed(source, text, 'are key=value pairs with a type, such as type=local,dest=out');
}

/** `key=value` pairs as one value of `--output`, `--cache-from` and the like; a path may have a comma in it. */
export function joinFields(fields: readonly string[]): string {
  return fields.map((field) => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',');
}

/** The options for a build cache that is kept in a directory, read before the build and replaced after it. */
export function cacheOptions(directory: string): string[] {
  return [
    ...['--cache-from', joinFields(['type=local', `src=${directory}`])],
    ...['--cache-to', joinFields(['type=local', `dest=${directory}`, 'mode=max'])],
  ];
}
