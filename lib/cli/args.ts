// SPDX-License-Identifier: Apache-2.0

/** The arguments of a task: one declaration gives its parser and its `--help`. Values stay the strings that were typed. */

import { oneLine, shown, usageError } from '../errors.ts';
import { VARIABLES, type Variable, type VariableName } from './variables.ts';

/** Where the package is missing, whoever parses says so; an import of the module could only end with a stack. */
const minimist = await import('minimist').then(
  (loaded) => loaded.default,
  (error: unknown) => () => {
    throw error;
  },
);

const LINE_WIDTH = 100;
const TERM_WIDTH_MAX = 34;

const STATUSES =
  'Exit status: 0 done; 1 failed; 2 wrong usage or something missing, and nothing was started; 128+n ended by signal ' +
  'n; otherwise that of the program that failed.';

/** A flag: a switch where `value` is absent, else a flag that takes a value. */
export interface FlagSpec {
  readonly help: string;
  readonly value?: string;
  readonly choices?: readonly string[];
}

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
  readonly summary: string;
  readonly examples?: readonly (readonly [command: string, meaning: string])[];
  readonly positionals?: Readonly<Record<string, PositionalSpec>>;
  /** Further arguments, for another program. */
  readonly passThrough?: {
    readonly name: string;
    readonly help: string;
    /** They are a command: from its first argument on, no switch is the task's. Only where all flags are switches. */
    readonly isCommand?: boolean;
  };
  readonly flags?: Readonly<Record<string, FlagSpec>>;
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
  /** Not checked where `help` is set. */
  readonly positionals: D extends { readonly positionals: infer P } ? Positionals<P> : Readonly<Record<string, never>>;
  readonly passThrough: readonly string[];
}

/**
 * Parses the arguments after the script's own name.
 * @throws usageError naming the argument, what is allowed, and `--help`
 */
export function parseArguments<D extends Declaration>(declaration: D, argv: readonly string[]): Arguments<D> {
  const flags: Readonly<Record<string, FlagSpec>> = declaration.flags ?? {};
  const [own, rest] = splitOwn(declaration, argv);
  const [switches, valued] = [false, true].map((isValued) =>
    Object.keys(flags).filter((name) => (flags[name]?.value !== undefined) === isValued),
  );
  const parsed = minimist(explicitFlags(declaration, own), {
    string: ['_', ...(valued ?? [])],
    boolean: ['help', ...(switches ?? [])],
  });
  const { _: given, help } = parsed;
  const isPassed = declaration.passThrough !== undefined;
  return {
    help,
    flags: Object.fromEntries(Object.keys(flags).map((name) => [name, parsed[name]])),
    positionals: help ? {} : takePositionals(declaration, isPassed ? given : [...given, ...rest]),
    passThrough: isPassed ? rest : [],
  } as unknown as Arguments<D>;
}

/** The arguments that are the task's own, and the rest: what stands after a lone `--`, or is for another program. */
function splitOwn(
  { flags = {}, passThrough, positionals = {} }: Declaration,
  argv: readonly string[],
): [readonly string[], readonly string[]] {
  const at = argv.includes('--') ? argv.indexOf('--') : argv.length;
  const [before, after] = [argv.slice(0, at), argv.slice(at + 1)];
  if (passThrough === undefined) return [before, after];
  if (passThrough.isCommand === true) {
    const start = before.findIndex((argument) => !argument.startsWith('-'));
    return start < 0 ? [before, after] : [argv.slice(0, start), argv.slice(start)];
  }
  const isOwn = (argument: string) =>
    ['-h', '--help'].includes(argument) || Object.hasOwn(flags, /^--([^=]+)/.exec(argument)?.[1] ?? '');
  const first = Object.keys(positionals).length > 0 ? before.findIndex((argument) => !isOwn(argument)) : -1;
  const own = before.filter((argument, index) => index === first || isOwn(argument));
  return [own, [...before.filter((argument, index) => index !== first && !isOwn(argument)), ...after]];
}

/**
 * The arguments with every flag as `--name=value`, each checked: minimist would pass over an unknown flag, one given
 * twice and a missing value, and take an argument `true` after a switch for its value, or `--no-x` for the opposite of `x`.
 */
function explicitFlags(declaration: Declaration, argv: readonly string[]): string[] {
  const flags = declaration.flags ?? {};
  const explicit: string[] = [];
  const left = [...argv];
  for (let argument = left.shift(); argument !== undefined; argument = left.shift()) {
    const [, name = '', assigned] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(argument) ?? [];
    const spec = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (!argument.startsWith('-') || argument === '-') explicit.push(argument);
    else if (argument === '-h' || argument === '--help') explicit.push('--help=true');
    else if (spec === undefined) throw wrong(declaration, unknownText(declaration, argument));
    else if (explicit.some((one) => one.startsWith(`--${name}=`))) {
      throw wrong(declaration, `--${name} is given more than once; give it once`);
    } else if (spec.value !== undefined) {
      const value = assigned ?? left.shift() ?? '';
      const isMissing = value === '' || (assigned === undefined && value.startsWith('-'));
      if (isMissing) throw wrong(declaration, `--${name} needs a value: --${name} ${spec.value}`);
      verifyChoice(declaration, `--${name}`, spec.choices, value);
      explicit.push(`--${name}=${value}`);
    } else if (assigned !== undefined) {
      throw wrong(declaration, `--${name} takes no value (got ${shown(assigned)})`);
    } else explicit.push(`--${name}=true`);
  }
  return explicit;
}

function verifyChoice(declaration: Declaration, what: string, choices: readonly string[] | undefined, value: string) {
  if (choices === undefined || choices.includes(value)) return;
  throw wrong(declaration, `${what} is ${shown(value)}; allowed are ${choices.join(', ')}`);
}

function takePositionals(declaration: Declaration, given: readonly string[]): Record<string, unknown> {
  const specs = Object.entries(declaration.positionals ?? {});
  const result: Record<string, unknown> = {};
  let at = 0;
  for (const [name, { choices, count, help }] of specs) {
    const isMany = count === 'some' || count === 'any';
    const taken = given.slice(at, isMany ? undefined : at + 1);
    if (taken.length === 0 && (count === 'one' || count === 'some')) {
      throw wrong(declaration, `<${name}> is missing: ${help.replace(/\.$/, '')}`);
    }
    for (const value of taken) verifyChoice(declaration, name, choices, value);
    result[name] = isMany ? taken : taken[0];
    at += taken.length;
  }
  const stray = given[at];
  if (stray === undefined) return result;
  const usage = specs.map(([name, spec]) => positionalUsage(name, spec)).join(' ') || 'none';
  throw wrong(declaration, `unexpected argument ${shown(stray)}; ${declaration.name} takes ${usage}`);
}

function unknownText({ flags = {}, name, positionals = {} }: Declaration, argument: string): string {
  const allowed = [...Object.keys(flags), 'help'].map((flag) => `--${flag}`).join(', ');
  const option = /^--([^=]+)/.exec(argument)?.[1] ?? '';
  const further = Object.keys(positionals).find((key) => positionals[key]?.afterDashes?.includes(option));
  const hint = further && `; a ${further} stands after --: ${name} -- ${oneLine(argument)}`;
  return `unknown option ${shown(argument)}; allowed are ${allowed}${hint ?? ''}`;
}

function wrong({ name }: Declaration, problem: string) {
  return usageError(`${problem}; see ${name} --help`);
}

/** How a positional argument is written in a usage line: `[target]`, `<file>...`. */
export function positionalUsage(name: string, { count, afterDashes }: PositionalSpec): string {
  const dots = count === 'some' || count === 'any' ? '...' : '';
  if (afterDashes !== undefined) return `[-- ${name}${dots}]`;
  return count === 'one' || count === 'some' ? `<${name}>${dots}` : `[${name}]${dots}`;
}

type Row = readonly [term: string, text: string];

export function helpText(declaration: Declaration): string {
  const { name, summary, positionals, passThrough, flags, variables, examples = [] } = declaration;
  const terms = Object.entries(positionals ?? {}).map(
    ([key, spec]): Row => [positionalUsage(key, spec), withChoices(spec)],
  );
  if (passThrough !== undefined) terms.push([`[${passThrough.name}]...`, passThrough.help]);
  const options = Object.entries(flags ?? {}).map(
    ([key, spec]): Row => [spec.value === undefined ? `--${key}` : `--${key} ${spec.value}`, withChoices(spec)],
  );
  const environment = (variables ?? []).map((key): Row => [key, variableHelp(VARIABLES[key])]);
  const usage = [name, '[options]', ...terms.map(([term]) => term)].join(' ');
  const blocks = [
    `${wrap(summary, LINE_WIDTH).join('\n')}\n\nUsage: ${usage}\n`,
    block('Arguments', terms),
    block('Options', [...options, ['-h, --help', 'Show this help.']]),
    block('Environment', environment),
    block('Examples', examples),
    `${wrap(STATUSES, LINE_WIDTH).join('\n')}\n`,
  ];
  return blocks.filter((text) => text !== '').join('\n');
}

function withChoices({ help, choices }: Pick<FlagSpec, 'help' | 'choices'>): string {
  return choices === undefined ? help : `${help} One of: ${choices.join(', ')}.`;
}

/** The default of a variable for users. */
export function defaultText({ default: value, otherwise }: Variable): string | undefined {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return value === undefined ? otherwise : String(value);
}

export function meaningText({ meaning, choices }: Variable): string {
  return choices === undefined ? meaning : `${meaning} (${choices.join(', ')})`;
}

function variableHelp(variable: Variable): string {
  const text = meaningText(variable);
  const value = defaultText(variable);
  const rest = value?.startsWith('required') ? ` (${value})` : value === undefined ? '' : ` (default: ${value})`;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${rest}.`;
}

function block(title: string, rows: readonly Row[]): string {
  if (rows.length === 0) return '';
  const width = Math.min(TERM_WIDTH_MAX, Math.max(...rows.map(([term]) => term.length)));
  const indent = ' '.repeat(width + 4);
  const lines = rows.map(([term, text]) => {
    const head = term.length > width ? `  ${term}\n${indent}` : `  ${term.padEnd(width)}  `;
    return `${head}${wrap(text, LINE_WIDTH - indent.length).join(`\n${indent}`)}\n`;
  });
  return `${title}:\n${lines.join('')}`;
}

/** The lines of a text, broken at blanks; what is longer than `width` without one has a line of its own. */
export function wrap(text: string, width: number): string[] {
  return text.match(new RegExp(`(?! )(?:.{1,${width}}(?= |$)|\\S+)`, 'g')) ?? [];
}
