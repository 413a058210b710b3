// SPDX-License-Identifier: Apache-2.0

/** A command as a value: what a dry run prints is what the runner runs. And what its process gets. */

import type { Environment } from '../cli/env.ts';
import { CONTROL_CHARACTERS } from '../errors.ts';
import type { Invoker } from '../fs/ownership.ts';
import { searchPath } from './which.ts';

const ECHOED_VARIABLES_MAX = 3;

export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** Changes to the environment: a string sets, `undefined` removes. */
  readonly env: Environment;
  /** What comes with the program's tool chain, under `env`: neither echoed nor in a dry run. */
  readonly base: Environment;
  /** Under sudo: run as the user who called it, because it needs no privilege and writes in that user's directories. */
  readonly asInvoker: boolean;
  /** The signal that makes it end and clean up, whichever the task gets. */
  readonly endedBy?: NodeJS.Signals | undefined;
}

export type CommandOptions = Pick<Command, 'cwd'> & Partial<Omit<Command, 'argv'>>;

export type CommandValue = string | number | readonly (string | number)[];

/**
 * Builds a command: ``cmd({ cwd })`cargo build -p ${name} ${targets}` ``. Blanks separate arguments; an interpolation
 * is (a part of) one argument whatever it holds, a list is several arguments and stands alone. No shell reads the text,
 * so it may hold no quotes.
 * @throws TypeError for slips of the programmer
 */
export function cmd(options: CommandOptions) {
  return (texts: TemplateStringsArray, ...values: readonly CommandValue[]): Command => {
    const [program, ...rest] = argumentsOf(texts, values);
    if (program === undefined || program === '') throw new TypeError('a command needs the name of a program');
    return { argv: [program, ...rest], env: {}, base: {}, asInvoker: false, ...options };
  };
}

function argumentsOf(texts: readonly string[], values: readonly CommandValue[]): string[] {
  const quoted = texts.find((text) => /['"`\\]/.test(text));
  if (quoted !== undefined) throw new TypeError(`the text of a command holds a quote: ${quoted}`);
  // A NUL byte, which no argument may hold, stands for the next value.
  const words = texts.join('\0').match(/\S+/g) ?? [];
  let next = 0;
  return words.flatMap((word) => {
    const value: unknown = word === '\0' ? values[next] : undefined;
    if (!Array.isArray(value)) return word.replaceAll('\0', () => argument(values[next++]));
    next++;
    return value.map(argument);
  });
}

function argument(value: unknown): string {
  if (Array.isArray(value)) throw new TypeError('a list stands inside an argument of a command');
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value === 'string' && !value.includes('\0')) return value;
  throw new TypeError(`an argument of a command is ${typeof value}, not a finite number or text without NUL bytes`);
}

/** The command as a line that can be pasted into a shell: added variables, then quoted arguments. */
export function commandText(value: Command): string {
  const changes = Object.entries(value.env);
  const removed = changes.flatMap(([name, text]) => (text === undefined ? [`-u ${name}`] : []));
  const added = changes.flatMap(([name, text]) =>
    text === undefined ? [] : [`${shellQuote(name)}=${shellQuote(text)}`],
  );
  const needsEnv = removed.length > 0 || changes.some(([name]) => /\W/.test(name));
  return [...(needsEnv ? ['env'] : []), ...removed, ...added, argvText(value)].join(' ');
}

/** The command as it is echoed: one line; many variables are left to the dry run. */
export function echoText(value: Command): string {
  const count = Object.keys(value.env).length;
  return count <= ECHOED_VARIABLES_MAX ? commandText(value) : `${argvText(value)} # and ${count} variables: --dry-run`;
}

/** The command without the variables, for messages: `cargo zigbuild --release`. */
export function argvText({ argv }: Command): string {
  return argv.map(shellQuote).join(' ');
}

/** A word quoted for bash: as for scripts, or as `$'..'` where it has control characters, which hurt the terminal. */
export function shellQuote(word: string): string {
  if (word.search(CONTROL_CHARACTERS) < 0) return scriptQuote(word);
  const bytes = Buffer.from(word).toString('latin1');
  return `$'${bytes.replace(/[^ -&(-[\]-~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`;
}

/** A word quoted for any POSIX shell: bare, or in single quotes, which carry everything but themselves. */
export function scriptQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The environment that a command is started with: the task's, its `base`, and its `env`. */
export function childEnvironment(env: Environment, command: Command, invoker: Invoker | undefined): Environment {
  const user = command.asInvoker ? invoker : undefined;
  const own = user === undefined ? {} : { HOME: user.home, USER: user.user };
  const all = { ...env, ...command.base, ...own, ...command.env };
  return { ...all, PATH: searchPath(all) };
}
