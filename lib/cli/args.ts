// SPDX-License-Identifier: Apache-2.0

/**
 * The argument module: one declaration per task gives its parser and its `--help`.
 *
 * minimist does the splitting. What it lets pass in silence is an error here: unknown
 * flags, a flag given twice, a missing value, a value for a switch, stray words.
 * Values stay the strings that were typed.
 */

import minimist from 'minimist';
import { shown, usageError } from '../errors.ts';

/** A flag: a switch where `value` is absent, else a flag that takes a value. */
export interface FlagSpec {
  readonly help: string;
  /** How the value is called in the help (`ARCH`). */
  readonly value?: string;
  /** The values allowed; anything else is an error that lists them. */
  readonly choices?: readonly string[];
}

/** The words that are not flags. */
export interface WordSpec {
  /** How the word is called in the help (`target`). */
  readonly name: string;
  readonly help: string;
  readonly min: number;
  readonly max: number;
  readonly choices?: readonly string[];
}

/** What a task takes: the source of its parser and of its help. */
export interface Declaration {
  /** The name that the help shows, a path from the suite's root (`tasks/stage.ts`). */
  readonly name: string;
  /** One sentence: what the task does. */
  readonly summary: string;
  readonly words?: readonly WordSpec[];
  /** Words behind the first that are handed to another program as they are; then `words` is the first one. */
  readonly passedOn?: {
    readonly name: string;
    readonly help: string;
    /** They are a command: from its first word on, no switch is the task's. Only for tasks with nothing but switches. */
    readonly isCommand?: boolean;
  };
  readonly flags?: Readonly<Record<string, FlagSpec>>;
  /** Environment variables that the task reads, with their meaning and default. */
  readonly variables?: Readonly<Record<string, string>>;
}

type FlagValues<F> = {
  readonly [K in keyof F]: F[K] extends { readonly value: string } ? string | undefined : boolean;
};

/** The parsed arguments of declaration `D`. */
export interface Arguments<D extends Declaration> {
  readonly help: boolean;
  /** Switches as booleans, the others as typed, `undefined` where not given. */
  readonly flags: D extends { readonly flags: infer F } ? FlagValues<F> : Readonly<Record<string, never>>;
  /** The words in their order, within the numbers and choices of the declaration. */
  readonly words: readonly string[];
  /** The words for the other program; empty where the declaration has none. */
  readonly passedOn: readonly string[];
}

/**
 * Parses the words of a command line.
 *
 * @param words the arguments after the script's own name
 * @throws usageError naming the word, what is allowed, and `--help`
 */
export function parseArguments<D extends Declaration>(declaration: D, words: readonly string[]): Arguments<D> {
  const flags: Readonly<Record<string, FlagSpec>> = declaration.flags ?? {};
  const [own, rest] = splitWords(declaration, flags, words);
  const { seen, explicit } = checkFlags(declaration, flags, own);
  const valued = Object.keys(flags).filter((name) => flags[name]?.value !== undefined);
  const switches = ['help', ...Object.keys(flags).filter((name) => !valued.includes(name))];
  const parsed = minimist(explicit, { string: ['_', ...valued], boolean: switches });
  const help = parsed.help === true;
  const values: Record<string, string | boolean | undefined> = {};
  for (const name of Object.keys(flags)) {
    if (flags[name]?.value === undefined) values[name] = parsed[name] === true;
    else values[name] = seen.has(name) ? String(parsed[name]) : undefined;
  }
  const positional = [...parsed._, ...rest];
  if (declaration.passedOn !== undefined) {
    if (!help) checkWords(declaration, parsed._);
    return { help, flags: values, words: parsed._, passedOn: rest } as unknown as Arguments<D>;
  }
  if (!help) checkWords(declaration, positional);
  return { help, flags: values, words: positional, passedOn: [] } as unknown as Arguments<D>;
}

/** The words that are the task's own, and the rest. */
function splitWords(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  words: readonly string[],
): [readonly string[], readonly string[]] {
  if (declaration.passedOn === undefined) return splitAtDashes(words);
  if (declaration.passedOn.isCommand === true) return splitCommand(words);
  return splitPassedOn(declaration, flags, words);
}

/** A command begins with the first word that is no switch, or behind a lone `--` in its place. */
function splitCommand(words: readonly string[]): [readonly string[], readonly string[]] {
  const first = words.findIndex((word) => word === '--' || !word.startsWith('-'));
  if (first < 0) return [words, []];
  return [words.slice(0, first), words.slice(words[first] === '--' ? first + 1 : first)];
}

/**
 * Behind the first word everything but the task's own switches belongs to the other program, in
 * its order; behind a lone `--` the switches do, too.
 */
function splitPassedOn(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  words: readonly string[],
): [readonly string[], readonly string[]] {
  const [before, behind] = splitAtDashes(words);
  const isOwn = (word: string) =>
    ['-h', '--help'].includes(word) || Object.hasOwn(flags, /^--([^=]+)/.exec(word)?.[1] ?? '');
  const takesWord = declaration.words !== undefined && declaration.words.length > 0;
  const first = takesWord ? before.findIndex((word) => !isOwn(word)) : -1;
  const own = before.filter((word, index) => index === first || isOwn(word));
  return [own, [...before.filter((word, index) => index !== first && !isOwn(word)), ...behind]];
}

/** Everything behind a lone `--` is a word, whatever it looks like. */
function splitAtDashes(words: readonly string[]): [readonly string[], readonly string[]] {
  const at = words.indexOf('--');
  return at < 0 ? [words, []] : [words.slice(0, at), words.slice(at + 1)];
}

/**
 * Checks every word that starts with a dash.
 *
 * @returns the flags that were given, and the words with every flag as `--name=value`: minimist would
 *   take a word `true` behind a switch for its value, and `--no-x` for the opposite of a flag `x`
 */
function checkFlags(
  declaration: Declaration,
  flags: Readonly<Record<string, FlagSpec>>,
  words: readonly string[],
): { seen: Set<string>; explicit: string[] } {
  const seen = new Set<string>();
  const explicit: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (!word.startsWith('-') || word === '-') {
      explicit.push(word);
      continue;
    }
    if (word === '-h' || word === '--help') {
      explicit.push('--help=true');
      continue;
    }
    const [, name = '', assigned] = /^--([^=]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
    const spec = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (spec === undefined) throw wrong(declaration, `unknown option ${shown(word)}; ${allowedFlags(flags)}`);
    if (seen.has(name)) throw wrong(declaration, `--${name} is given more than once; give it once`);
    seen.add(name);
    if (spec.value === undefined) {
      if (assigned !== undefined) throw wrong(declaration, `--${name} takes no value (got ${shown(assigned)})`);
      explicit.push(`--${name}=true`);
      continue;
    }
    const value = assigned ?? words[++at];
    if (value === undefined || value === '') {
      throw wrong(declaration, `--${name} needs a value: --${name} ${spec.value}`);
    }
    if (assigned === undefined && value.startsWith('-')) {
      throw wrong(declaration, `--${name} needs a value, ${shown(value)} follows; one with a dash: --${name}=-...`);
    }
    if (spec.choices !== undefined && !spec.choices.includes(value)) {
      throw wrong(declaration, `--${name} is ${shown(value)}; allowed are ${spec.choices.join(', ')}`);
    }
    explicit.push(`--${name}=${value}`);
  }
  return { seen, explicit };
}

function checkWords(declaration: Declaration, words: readonly string[]): void {
  const specs = declaration.words ?? [];
  let at = 0;
  for (const [index, spec] of specs.entries()) {
    const reserved = specs.slice(index + 1).reduce((sum, later) => sum + later.min, 0);
    // A word that must be there comes before those that may be.
    const count = Math.max(spec.min, Math.min(spec.max, words.length - at - reserved));
    const taken = words.slice(at, at + count);
    if (taken.length < spec.min) {
      throw wrong(declaration, `<${spec.name}> is missing: ${spec.help.replace(/\.$/, '')}`);
    }
    for (const word of taken) {
      if (spec.choices !== undefined && !spec.choices.includes(word)) {
        throw wrong(declaration, `${spec.name} is ${shown(word)}; allowed are ${spec.choices.join(', ')}`);
      }
    }
    at += taken.length;
  }
  const stray = words[at];
  if (stray !== undefined) {
    const takes = specs.length === 0 ? 'takes no words' : `takes ${specs.map(wordUsage).join(' ')}`;
    throw wrong(declaration, `unexpected word ${shown(stray)}; ${declaration.name} ${takes}`);
  }
}

function allowedFlags(flags: Readonly<Record<string, FlagSpec>>): string {
  return `allowed are ${[...Object.keys(flags), 'help'].map((name) => `--${name}`).join(', ')}`;
}

function wrong(declaration: Declaration, problem: string) {
  return usageError(`${problem}; see ${declaration.name} --help`);
}

/** How a word is written in a usage line: `[target]`, `<file>...`. */
export function wordUsage(spec: WordSpec): string {
  const dots = spec.max > 1 ? '...' : '';
  return spec.min > 0 ? `<${spec.name}>${dots}` : `[${spec.name}]${dots}`;
}
