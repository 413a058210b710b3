// SPDX-License-Identifier: Apache-2.0

/**
 * Reading environment variables: one dialect for the whole suite.
 *
 * Set but empty is unset. A wrong value is an error that names the variable, the value, what is allowed, and what to
 * do. Nothing here touches `process.env`: the environment is a value that `task.ts` passes in.
 */

import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import type { Variable } from './variable-kinds.ts';
import { VARIABLES, type VariableName } from './variables.ts';

/** An environment: names to values. */
export type Environment = Readonly<Record<string, string | undefined>>;

const TRUE = ['1', 'true', 'yes', 'on'];
const FALSE = ['0', 'false', 'no', 'off'];
/** The least number of a variable that says nothing else. */
const COUNT_MIN = 1;

type Values<V extends Variable> = V extends { kind: 'boolean' }
  ? boolean
  : V extends { kind: 'count' }
    ? number
    : V extends { choices: readonly (infer C)[] }
      ? C
      : string;

type PathName = { [N in VariableName]: (typeof VARIABLES)[N] extends { kind: 'path' } ? N : never }[VariableName];

/** What a declared variable is read as; `undefined` only where it has no constant default. */
export type ValueOf<N extends VariableName> =
  | Values<(typeof VARIABLES)[N]>
  | ((typeof VARIABLES)[N] extends { default: unknown } ? never : undefined);

/**
 * Reads a declared variable as its kind, with its default.
 * @throws usageError for a value that its kind does not allow
 */
export function readVariable<N extends VariableName>(env: Environment, name: N): ValueOf<N> {
  const variable: Variable = VARIABLES[name];
  const text = textOf(env, name);
  return (text === undefined ? variable.default : parse(variable, name, text)) as ValueOf<N>;
}

/**
 * Reads a declared path, made absolute.
 * @param startDirectory what a relative path is relative to
 */
export function readPath<N extends PathName>(env: Environment, name: N, startDirectory: string): ValueOf<N> {
  const path = readVariable(env, name) as string | undefined;
  return (path === undefined ? undefined : absolutePath(startDirectory, path)) as ValueOf<N>;
}

function parse(variable: Variable, name: string, text: string): string | number | boolean {
  if (variable.kind === 'boolean') return variable.isAnyText ? !isFalseWord(text) : parseBoolean(name, text);
  if (variable.kind === 'count') return parseCount(name, text, variable.min ?? COUNT_MIN, variable.max);
  return variable.choices === undefined ? text : parseChoice(name, text, variable.choices);
}

/** The value of any variable; `undefined` where it is unset or empty. */
export function textOf(env: Environment, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}

/** The first of the variables that is set, with its value; the first name where none is set. */
export function firstOf(
  env: Environment,
  names: readonly [VariableName, ...VariableName[]],
): { readonly source: VariableName; readonly text: string | undefined } {
  const source = names.find((name) => textOf(env, name) !== undefined) ?? names[0];
  return { source, text: textOf(env, source) };
}

/**
 * A boolean: 1/true/yes/on or 0/false/no/off, in any case.
 * @param alsoAllowed values that the caller has looked for before, for the error
 * @throws usageError for any other text
 */
export function parseBoolean(source: string, text: string, alsoAllowed: readonly string[] = []): boolean {
  if (TRUE.includes(text.toLowerCase())) return true;
  if (isFalseWord(text)) return false;
  throw notAllowed(source, text, `are ${[...alsoAllowed, TRUE.join('/'), FALSE.join('/')].join(', ')}`);
}

function isFalseWord(text: string): boolean {
  return FALSE.includes(text.toLowerCase());
}

/**
 * A whole number written in decimal digits, `min` or more.
 * @throws usageError for anything else, `1e4` and `0x10` included
 */
export function parseCount(source: string, text: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const number = Number(text);
  if (/^[0-9]+$/.test(text) && number >= min && number <= max) return number;
  const limit = max === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${max}`;
  throw notAllowed(source, text, `is a whole number of at least ${min}${limit}`);
}

/**
 * One of a closed set.
 * @throws usageError that lists the set
 */
export function parseChoice<T extends string>(source: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw notAllowed(source, text, `are ${allowed.join(', ')}`);
}

/**
 * The error for a value that is not allowed.
 * @param allowed what is, as the rest of a sentence: `are a, b`, `is a whole number`
 */
export function notAllowed(source: string, text: string, allowed: string) {
  const remedy = source.startsWith('--') ? 'leave it out' : 'unset it';
  return usageError(`${source} is ${shown(text)}; allowed ${allowed}; change it or ${remedy}`);
}

/** The variables that are set, as a child process wants them. */
export function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
