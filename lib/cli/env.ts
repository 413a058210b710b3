// SPDX-License-Identifier: Apache-2.0

/** Reading environment variables: one dialect for the whole suite. Set but empty is unset. */

import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { VARIABLES, type Variable, type VariableName } from './variables.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const TRUE = ['1', 'true', 'yes', 'on'];
const FALSE = ['0', 'false', 'no', 'off'];

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

/** Reads a declared variable as its kind, with its default. @throws usageError for a value that its kind does not allow */
export function readVariable<N extends VariableName>(env: Environment, name: N): ValueOf<N> {
  const variable: Variable = VARIABLES[name];
  const text = textOf(env, name);
  return (text === undefined ? variable.default : parse(variable, name, text)) as ValueOf<N>;
}

/** Reads a declared path, made absolute. */
export function readPath<N extends PathName>(env: Environment, name: N, startDirectory: string): ValueOf<N> {
  const path = readVariable(env, name) as string | undefined;
  return (path === undefined ? undefined : absolutePath(startDirectory, path)) as ValueOf<N>;
}

function parse(variable: Variable, name: string, text: string): string | number | boolean {
  if (variable.kind === 'boolean') return variable.isAnyText ? !isFalseWord(text) : parseBoolean(name, text);
  if (variable.kind === 'count') return parseCount(name, text, variable.min ?? 1, variable.max);
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

/** @param alsoAllowed values that the caller has looked for before, for the error */
export function parseBoolean(source: string, text: string, alsoAllowed: readonly string[] = []): boolean {
  if (TRUE.includes(text.toLowerCase())) return true;
  if (isFalseWord(text)) return false;
  throw notAllowed(source, text, `are ${[...alsoAllowed, TRUE.join('/'), FALSE.join('/')].join(', ')}`);
}

function isFalseWord(text: string): boolean {
  return FALSE.includes(text.toLowerCase());
}

/** A whole number in decimal digits. @throws usageError for anything else, `1e4` and `0x10` included */
export function parseCount(source: string, text: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  const number = Number(text);
  if (/^[0-9]+$/.test(text) && number >= min && number <= max) return number;
  const limit = max === Number.MAX_SAFE_INTEGER ? '' : ` and at most ${max}`;
  throw notAllowed(source, text, `is a whole number of at least ${min}${limit}`);
}

/** One of a closed set. @throws usageError that lists the set */
export function parseChoice<T extends string>(source: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw notAllowed(source, text, `are ${allowed.join(', ')}`);
}

/** The error for a value; `allowed` is the rest of a sentence: `are a, b`, `is a whole number`. */
export function notAllowed(source: string, text: string, allowed: string) {
  const remedy = source.startsWith('--') ? 'leave it out' : 'unset it';
  return usageError(`${source} is ${shown(text)}; allowed ${allowed}; change it or ${remedy}`);
}

/** The variables that are set, as a child process wants them. */
export function definedOnly(env: Environment): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** What GitHub's jobs, pods and other tools have set is nobody's slip. */
const OF_OTHERS = ['GITHUB_ACTION', 'GITHUB_PATH', 'KUBERNETES_SERVICE_PORT', 'KUBE_CONFIG'];
/** Other programs' names often differ in the first letters alone (LD_LIBRARY_PATH), and slips are rarely there. */
const SAME_LETTERS = 3;

/** Names that no task reads, each with the one that some task does read, and that it is one slip away from. */
export function misspelt(names: readonly string[]): { readonly name: string; readonly meant: string }[] {
  return names
    .filter((name) => name.length > SAME_LETTERS && !Object.hasOwn(VARIABLES, name) && !OF_OTHERS.includes(name))
    .flatMap((name) => {
      const upper = name.toUpperCase();
      const alike = Object.keys(VARIABLES).filter((one) => one.startsWith(upper.slice(0, SAME_LETTERS)));
      const meant = alike.includes(upper) ? upper : alike.find((one) => isNear(upper, one));
      return meant === undefined ? [] : [{ name, meant }];
    });
}

/** Whether one letter that is missing, added, changed or exchanged with the next one makes one name of two. */
function isNear(one: string, other: string): boolean {
  let at = 0;
  while (one[at] === other[at]) at++;
  const [a, b] = [one.slice(at), other.slice(at)];
  const isExchanged = `${a[1]}${a[0]}${a.slice(2)}` === b;
  return isExchanged || a.slice(1) === b || a === b.slice(1) || a.slice(1) === b.slice(1);
}
