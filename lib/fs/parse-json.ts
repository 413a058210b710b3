// SPDX-License-Identifier: Apache-2.0

/** Values of JSON and TOML texts, of which nothing is known until it is looked at. */

import { orUndefined } from './paths.ts';

/** Whether a value is a table: an object of JSON, a table of TOML. A list is none, and neither is a date. */
export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The value of a text in JSON; `undefined` for text that is none. */
export function parseJson(text: string): unknown {
  return orUndefined(() => JSON.parse(text));
}

/** The first table of a list in JSON, as `inspect` of an engine prints one; `undefined` for anything else. */
export function firstInList(text: string): Record<string, unknown> | undefined {
  const list = parseJson(text);
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  return isTable(first) ? first : undefined;
}

/** The table that a text in JSON is; `undefined` for anything else. */
export function parseTable(text: string): Record<string, unknown> | undefined {
  const value = parseJson(text);
  return isTable(value) ? value : undefined;
}
