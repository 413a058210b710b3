// SPDX-License-Identifier: Apache-2.0

/** A command as a value: what would be printed by a dry run is what the runner runs. */

import type { Environment } from '../cli/env.ts';

const ECHOED_VARIABLES_MAX = 3;

/** A program with its arguments, where it runs, and what it changes in the environment. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  /** Absolute. */
  readonly cwd: string;
  /** Changes to the environment: a string sets, `undefined` removes. */
  readonly env: Environment;
  /** Hide the arguments and the added values in echo, plan and errors. */
  readonly secret: boolean;
  /** Under sudo: run as the user who called it, because it needs no privilege and writes in the user's directories. */
  readonly asInvoker: boolean;
}

/**
 * Makes a command. Words must be strings or finite numbers: `undefined`, `null`, booleans and
 * lists are slips of the programmer, and so are an empty program name and a NUL byte.
 *
 * @throws TypeError naming the word and its place
 */
export function command(
  words: readonly unknown[],
  options: { cwd: string; env?: Environment; secret?: boolean; asInvoker?: boolean },
): Command {
  const argv = words.map((word, index) => {
    if (typeof word === 'number' && Number.isFinite(word)) return String(word);
    if (typeof word !== 'string')
      throw new TypeError(`word ${index} of a command is ${describeType(word)}, not a string`);
    if (word.includes('\0')) throw new TypeError(`word ${index} of a command holds a NUL byte`);
    return word;
  });
  const [program, ...rest] = argv;
  if (program === undefined || program === '') throw new TypeError('a command needs the name of a program');
  return {
    argv: [program, ...rest],
    cwd: options.cwd,
    env: options.env ?? {},
    secret: options.secret ?? false,
    asInvoker: options.asInvoker ?? false,
  };
}

function describeType(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : typeof value;
}

/** The command as a line that can be pasted into a shell: added variables, then quoted words. */
export function commandText(value: Command): string {
  if (value.secret) return `${shellQuote(value.argv[0])} [arguments hidden]`;
  const changes = Object.entries(value.env);
  const removed = changes.filter(([, text]) => text === undefined).map(([name]) => `-u ${name}`);
  const added = changes.flatMap(([name, text]) => (text === undefined ? [] : [`${name}=${shellQuote(text)}`]));
  const lead = removed.length > 0 ? ['env', ...removed, ...added] : added;
  return [...lead, argvWords(value)].join(' ');
}

/** The command as it is echoed: one line; many variables are left to the dry run. */
export function echoText(value: Command): string {
  const count = Object.keys(value.env).length;
  return count <= ECHOED_VARIABLES_MAX ? commandText(value) : `${argvText(value)} # and ${count} variables: --dry-run`;
}

/** The command without the variables, for messages: `cargo zigbuild --release`. */
export function argvText(value: Command): string {
  return value.secret ? commandText(value) : argvWords(value);
}

/** The quoted words; a program whose name looks like an assignment must not be taken for one. */
function argvWords({ argv: [program, ...rest] }: Command): string {
  const name = /^\w+\+?=/.test(program) ? `''${shellQuote(program)}` : shellQuote(program);
  return [name, ...rest.map(shellQuote)].join(' ');
}

/**
 * A word quoted for bash, readable where it can be: bare, in single quotes, or as `$'..'`
 * where it has control characters (which would hurt the terminal).
 */
export function shellQuote(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (!/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  return `$'${[...Buffer.from(word)].map(ansiByte).join('')}'`;
}

/** A word quoted for any POSIX shell, in single quotes, which carry everything but themselves: for scripts. */
export function scriptQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function ansiByte(byte: number): string {
  if (byte === 0x0a) return '\\n';
  if (byte === 0x27 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}
