// SPDX-License-Identifier: Apache-2.0

/** An `--output` value of buildx: comma-separated `key=value` pairs, where a pair may be quoted (RFC 4180). */

import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';

/**
 * Checks an output, and makes its destination absolute.
 *
 * @throws usageError unless it is `key=value` pairs with a `type`
 */
export function resolveOutput(source: string, text: string, startDirectory: string): string {
  const pairs = splitQuoted(text)?.map((field) => /^([A-Za-z][^=\s]*)=([\s\S]*)$/.exec(field.trim()));
  const isKey = (pair: RegExpExecArray | null, key: string) => pair?.[1]?.toLowerCase() === key;
  if (pairs === undefined || pairs.some((pair) => pair === null) || !pairs.some((pair) => isKey(pair, 'type'))) {
    throw usageError(
      `${source} is ${shown(text)}; allowed are key=value pairs with a type, such as type=local,dest=out; change it or unset it`,
    );
  }
  return joinFields(
    pairs.map((pair) => {
      const [, key = '', value = ''] = pair ?? [];
      const isPath = isKey(pair, 'dest') && value !== '-';
      return `${key}=${isPath ? absolutePath(startDirectory, value) : value}`;
    }),
  );
}

/** The fields of a line of comma-separated values; `undefined` where a quote does not end. */
function splitQuoted(text: string): string[] | undefined {
  const fields: string[] = [];
  const field = /\s*(?:"((?:[^"]|"")*)"\s*|([^",]*))(,|$)/y;
  for (let isLast = false; !isLast; ) {
    const match = field.exec(text);
    if (match === null) return undefined;
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    isLast = match[3] === '';
  }
  return fields;
}

/** `key=value` pairs as one value of `--output`, `--cache-from` and the like; a path may have a comma in it. */
export function joinFields(fields: readonly string[]): string {
  return fields.map(quoteField).join(',');
}

function quoteField(field: string): string {
  return /[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
