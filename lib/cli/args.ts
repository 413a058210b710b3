// SPDX-License-Identifier: Apache-2.0

/**
 * The arguments of a task: one declaration gives its parser and its `--help`.
 *
 * minimist does the splitting. What it lets pass in silence is an error here: unknown flags, a flag given twice, a
 * missing value, a value for a switch, stray arguments. Values stay the strings that were typed.
 */

import { oneLine, shown, usageError } from '../errors.ts';
import type { VariableName } from './variables.ts';

/** Where the package is missing, whoever parses says so; an import of the module could only end with a stack. */
const minimist = await import('minimist').then(
  (loaded) => loaded.default,
  (error: unknown) => () => {
    throw error;
  },
);

/** A flag: a switch where `value` is absent, else a flag that takes a value. */
export interface FlagSpec {
  readonly help: string;
  /** How the value is called in the help (`ARCH`). */
  readonly value?: string;
  /** The values allowed; anything else is an error that lists them. */
  readonly choices?: readonly string[];
}

/** An argument that is not a flag. */
export interface PositionalSpec {
  readonly help: string;
  /** `some` is one or more, `any` is none or more; only the last one may be either. */
  readonly count: 'one' | 'optional' | 'some' | 'any';
  readonly choices?: readonly string[];
  /** The options of other declarations that it is for, which stand after `--`. */
  readonly afterDashes?: readonly string[];
}

/** What a task takes: the source of its parser and of its help. */
export interface Declaration {
  /** The name that the help shows, a path from the suite's root (`tasks/stage.ts`). */
  readonly name: string;
  /** One sentence: what the task does. */
  readonly summary: string;
  /** Two command lines that users may take, and what each does. */
  readonly examples?: readonly (readonly [command: string, meaning: string])[];
  /** By their names (`target`), in their order. */
  readonly positionals?: Readonly<Record<string, PositionalSpec>>;
  /** Further arguments that are handed to another program as they are. */
  readonly passThrough?: {
    readonly name: string;
    readonly help: string;
    /**
     * They are a command: from its first argument on, no switch is the task's. Only for tasks with nothing but
     * switches.
     */
    readonly isCommand?: boolean;
  };
  readonly flags?: Readonly<Record<string, FlagSpec>>;
  /** The environment variables that the task reads. */
  readonly variables?: readonly VariableName[];
}

type Choice<S> = S extends { readonly choices: readonly (infer C extends string)[] } ? C : string;

type Flags<F> = {
  readonly [K in keyof F]: F[K] extends { readonly value: string } ? Choice<F[K]> | undefined : boolean;
};

type Positionals<P> = {
  readonly [K in keyof P]: P[K] extends { readonly count: 'one' }
    ? Choice<P[K]>
    : P[K] extends { readonly count: 'optional' }
      ? Choice<P[K]> | undefined
      : readonly Choice<P[K]>[];
};

/** The parsed arguments of declaration `D`. */
export interface Arguments<D extends Declaration> {
  readonly help: boolean;
  /** Switches as booleans, the others as typed, `undefined` where not given. */
  readonly flags: D extends { readonly flags: infer F } ? Flags<F> : Readonly<Record<string, never>>;
  /** By their names, within the counts and choices of the declaration; not checked where `help` is set. */
  readonly positionals: D extends { readonly positionals: infer P } ? Positionals<P> : Readonly<Record<string, never>>;
  /** The arguments for the other program; empty where the declaration has none. */
  readonly passThrough: readonly string[];
}

/**
 * Parses a command line.
 * @param argv the arguments after the script's own name
 * @throws usageError naming the argument, what is allowed, and `--help`
 */
export function parseArguments<D extends Declaration>(declaration: D, argv: readonly string[]): Arguments<D> {
  const flags: Readonly<Record<string, FlagSpec>> = declaration.flags ?? {};
  const [own, rest] = splitOwn(declaration, flags, argv);
  const { seen, explicit } = checkFlags(declaration, flags, own);
  const valued = Object.keys(flags).filter((name) => flags[name]?.value !== undefined);
  const switches = ['help', ...Object.keys(flags).filter((name) => !valued.includes(name))];
  const parsed = minimist(explicit, { string: ['_', ...valued], boolean: switches });
  const values = Object.keys(flags).map((name) => {
    if (flags[name]?.value === undefined) return [name, parsed[name] === true] as const;
    return [name, seen.has(name) ? String(parsed[name]) : undefined] as const;
  });
  const isPassed = declaration.passThrough !== undefined;
  const help = parsed.help === true;
  const given = isPassed ? parsed._ : [...parsed._, ...rest];
  return {
    help,
    flags: Object.fromEntries(values),
    positionals: help ? {} : takePositionals(declaration, given),
    passThrough: isPassed ? rest : [],
  } as unknown as Arguments<D>;
}

/** The arguments that are the task's own, and the rest. */
function splitOwn(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  argv: readonly string[],
): [readonly string[], readonly string[]] {
  if (declaration.passThrough === undefined) return splitAtDashes(argv);
  if (declaration.passThrough.isCommand === true) return splitCommand(argv);
  return splitPassThrough(declaration, flags, argv);
}

/** A command begins with the first argument that is not a switch, or after a lone `--` in its place. */
function splitCommand(argv: readonly string[]): [readonly string[], readonly string[]] {
  const first = argv.findIndex((argument) => argument === '--' || !argument.startsWith('-'));
  if (first < 0) return [argv, []];
  return [argv.slice(0, first), argv.slice(argv[first] === '--' ? first + 1 : first)];
}

/**
 * After the first positional everything but the task's own switches belongs to the other program, in its order; after a
 * lone `--` the switches do, too.
 */
function splitPassThrough(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  argv: readonly string[],
): [readonly string[], readonly string[]] {
  const [before, after] = splitAtDashes(argv);
  const isOwn = (argument: string) =>
    ['-h', '--help'].includes(argument) || Object.hasOwn(flags, /^--([^=]+)/.exec(argument)?.[1] ?? '');
  const takesOne = Object.keys(declaration.positionals ?? {}).length > 0;
  const first = takesOne ? before.findIndex((argument) => !isOwn(argument)) : -1;
  const own = before.filter((argument, index) => index === first || isOwn(argument));
  return [own, [...before.filter((argument, index) => index !== first && !isOwn(argument)), ...after]];
}

/** Everything after a lone `--` is positional, whatever it looks like. */
function splitAtDashes(argv: readonly string[]): [readonly string[], readonly string[]] {
  const at = argv.indexOf('--');
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
}

/**
 * Checks every argument that starts with a dash.
 * @returns the flags that were given, and the arguments with every flag as `--name=value`: minimist would take an
 *   argument `true` after a switch for its value, and `--no-x` for the opposite of a flag `x`
 */
function checkFlags(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  argv: readonly string[],
): { seen: Set<string>; explicit: string[] } {
  const seen = new Set<string>();
  const explicit: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] as string;
    const [, name = '', assigned] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    const spec = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (!argument.startsWith('-') || argument === '-') explicit.push(argument);
    else if (argument === '-h' || argument === '--help') explicit.push('--help=true');
    else if (spec === undefined) throw wrong(declaration, unknownText(declaration, argument));
    else if (seen.has(name)) throw wrong(declaration, `--${name} is given more than once; give it once`);
    else if (spec.value === undefined) {
      if (assigned !== undefined) throw wrong(declaration, `--${name} takes no value (got ${shown(assigned)})`);
      explicit.push(`--${name}=true`);
    } else {
      explicit.push(`--${name}=${checkedValue(declaration, name, spec, assigned, argv[at + 1])}`);
      if (assigned === undefined) at++;
    }
    if (spec !== undefined) seen.add(name);
  }
  return { seen, explicit };
}

/** The value of a flag: after its `=`, else the next argument. */
function checkedValue(
  declaration: Declaration,
  name: string,
  spec: FlagSpec,
  assigned: string | undefined,
  next: string | undefined,
): string {
  const value = assigned ?? next;
  if (value === undefined || value === '') {
    throw wrong(declaration, `--${name} needs a value: --${name} ${spec.value}`);
  }
  if (assigned === undefined && value.startsWith('-')) {
    throw wrong(declaration, `--${name} needs a value, ${shown(value)} follows; one with a dash: --${name}=-...`);
  }
  verifyChoice(declaration, `--${name}`, spec.choices, value);
  return value;
}

function verifyChoice(
  declaration: Declaration,
  what: string,
  choices: readonly string[] | undefined,
  value: string,
): void {
  if (choices === undefined || choices.includes(value)) return;
  throw wrong(declaration, `${what} is ${shown(value)}; allowed are ${choices.join(', ')}`);
}

/** The positional arguments by their names. */
function takePositionals(declaration: Declaration, given: readonly string[]): Record<string, unknown> {
  const specs = Object.entries(declaration.positionals ?? {});
  const result: Record<string, unknown> = {};
  let at = 0;
  for (const [name, spec] of specs) {
    const isMany = spec.count === 'some' || spec.count === 'any';
    const taken = given.slice(at, isMany ? undefined : at + 1);
    if (taken.length === 0 && (spec.count === 'one' || spec.count === 'some')) {
      throw wrong(declaration, `<${name}> is missing: ${spec.help.replace(/\.$/, '')}`);
    }
    for (const value of taken) verifyChoice(declaration, name, spec.choices, value);
    result[name] = isMany ? taken : taken[0];
    at += taken.length;
  }
  const stray = given[at];
  if (stray === undefined) return result;
  const usage = specs.map(([name, spec]) => positionalUsage(name, spec)).join(' ');
  const takes = specs.length === 0 ? 'takes none' : `takes ${usage}`;
  throw wrong(declaration, `unexpected argument ${shown(stray)}; ${declaration.name} ${takes}`);
}

function unknownText({ flags = {}, name, positionals = {} }: Declaration, argument: string): string {
  const allowed = [...Object.keys(flags), 'help'].map((flag) => `--${flag}`).join(', ');
  const option = /^--([^=]+)/.exec(argument)?.[1] ?? '';
  const further = Object.keys(positionals).find((key) => positionals[key]?.afterDashes?.includes(option));
  const hint = further && `; a ${further} stands after --: ${name} -- ${oneLine(argument)}`;
  return `unknown option ${shown(argument)}; allowed are ${allowed}${hint ?? ''}`;
}

function wrong(declaration: Declaration, problem: string) {
  return usageError(`${problem}; see ${declaration.name} --help`);
}

/** How a positional argument is written in a usage line: `[target]`, `<file>...`. */
export function positionalUsage(name: string, { count, afterDashes }: PositionalSpec): string {
  const dots = count === 'some' || count === 'any' ? '...' : '';
  if (afterDashes !== undefined) return `[-- ${name}${dots}]`;
  return count === 'one' || count === 'some' ? `<${name}>${dots}` : `[${name}]${dots}`;
}
