// SPDX-License-Identifier: Apache-2.0

/**
 * Reading environment variables: one dialect for the whole suite.
 *
 * Set but empty is unset. A wrong value is an error that names the variable, the value,
 * what is allowed, and what to do. Nothing here touches `process.env`: the environment
 * is a value that the frame (`task.ts`) passes in.
 */

import { shown, usageError } from '../errors.ts';

/** An environment: names to values. */
export type Environment = Readonly<Record<string, string | undefined>>;

const TRUE = ['1', 'true', 'yes', 'on'];
const FALSE = ['0', 'false', 'no', 'off'];

/** The value of a variable; `undefined` where it is unset or empty. */
export function textOf(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}

/**
 * A boolean: 1/true/yes/on or 0/false/no/off, in any case.
 *
 * @param alsoAllowed words that the caller has looked for before, for the error
 * @throws usageError for any other word
 */
export function booleanOf(
  env: Environment,
  name: string,
  fallback: boolean,
  alsoAllowed: readonly string[] = [],
): boolean {
  const value = textOf(env, name);
  if (value === undefined) return fallback;
  const word = value.toLowerCase();
  if (TRUE.includes(word)) return true;
  if (FALSE.includes(word)) return false;
  throw usageError(
    `${name} is ${shown(value)}; allowed are ${[...alsoAllowed, TRUE.join('/'), FALSE.join('/')].join(', ')}; change it or unset it`,
  );
}

/**
 * A whole number written in decimal digits, `min` or more.
 *
 * @throws usageError for anything else, `1e4` and `0x10` included
 */
export function wholeNumberOf(env: Environment, name: string, min: number): number | undefined {
  const value = textOf(env, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!/^[0-9]+$/.test(value) || !Number.isSafeInteger(number) || number < min) {
    throw usageError(`${name} is ${shown(value)}; allowed is a whole number of at least ${min}; change it or unset it`);
  }
  return number;
}

/**
 * One of a closed set of words.
 *
 * @throws usageError that lists the words
 */
export function choiceOf<T extends string>(env: Environment, name: string, allowed: readonly T[]): T | undefined {
  const value = textOf(env, name);
  if (value === undefined) return undefined;
  const found = allowed.find((word) => word === value);
  if (found === undefined) {
    throw usageError(`${name} is ${shown(value)}; allowed are ${allowed.join(', ')}; change it or unset it`);
  }
  return found;
}

/** The variables that are set, as a child process wants them. */
export function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
