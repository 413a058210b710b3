// SPDX-License-Identifier: Apache-2.0

/**
 * A command as a value: what a dry run prints is what the runner runs. And what its process gets: its environment, whose
 * it is under sudo, and whether the system takes it.
 */

import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Environment } from '../cli/env.ts';
import { CONTROL_CHARACTERS, usageError } from '../errors.ts';
import { type Invoker, ownerOf } from '../fs/ownership.ts';
import { searchPath } from './which.ts';

const ECHOED_VARIABLES_MAX = 3;
/** Of one argument on Linux, the end mark not counted (execve(2), MAX_ARG_STRLEN). */
const ARGUMENT_BYTES_MAX = 128 * 1024 - 1;

/** A program with its arguments, where it runs, and what it changes in the environment. */
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
  const argv: string[] = [];
  // The argument that the text so far has begun; `undefined` after a blank.
  let open: string | undefined;
  const close = () => {
    if (open !== undefined) argv.push(open);
    open = undefined;
  };
  for (const [index, text] of texts.entries()) {
    if (/['"`\\]/.test(text)) throw new TypeError(`the text of a command holds a quote: ${text}`);
    for (const piece of text.split(/(\s+)/)) {
      if (/^\s+$/.test(piece)) close();
      else if (piece !== '') open = (open ?? '') + piece;
    }
    if (index >= values.length) continue;
    const value: unknown = values[index];
    if (Array.isArray(value)) {
      const end = index === values.length - 1 ? /^(\s|$)/ : /^\s/;
      const isAlone = open === undefined && end.test(texts[index + 1] ?? '');
      if (!isAlone) throw new TypeError('a list stands inside an argument');
      for (const item of value) argv.push(argument(item, argv.length));
    } else open = (open ?? '') + argument(value, argv.length);
  }
  close();
  return argv;
}

function argument(value: unknown, index: number): string {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string') {
    const type = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;
    throw new TypeError(`argument ${index} of a command is ${type}, not text or a finite number`);
  }
  if (value.includes('\0')) throw new TypeError(`argument ${index} of a command holds a NUL byte`);
  return value;
}

/** The command as a line that can be pasted into a shell: added variables, then quoted arguments. */
export function commandText(value: Command): string {
  const changes = Object.entries(value.env);
  const isName = (name: string) => /^\w+$/.test(name);
  const removed = changes.flatMap(([name, text]) => (text === undefined ? [`-u ${name}`] : []));
  const added = changes.flatMap(([name, text]) => {
    if (text === undefined) return [];
    return [isName(name) ? `${name}=${shellQuote(text)}` : shellQuote(`${name}=${text}`)];
  });
  const needsEnv = removed.length > 0 || !changes.every(([name]) => isName(name));
  return [...(needsEnv ? ['env'] : []), ...removed, ...added, argvText(value)].join(' ');
}

/** The command as it is echoed: one line; many variables are left to the dry run. */
export function echoText(value: Command): string {
  const count = Object.keys(value.env).length;
  return count <= ECHOED_VARIABLES_MAX ? commandText(value) : `${argvText(value)} # and ${count} variables: --dry-run`;
}

/**
 * The command without the variables, for messages: `cargo zigbuild --release`. A program whose name looks like an
 * assignment must not be taken for one.
 */
export function argvText({ argv: [program, ...rest] }: Command): string {
  const name = /^\w+\+?=/.test(program) ? `''${shellQuote(program)}` : shellQuote(program);
  return [name, ...rest.map(shellQuote)].join(' ');
}

/** A word quoted for bash: as for scripts, or as `$'..'` where it has control characters, which hurt the terminal. */
export function shellQuote(word: string): string {
  if (word.search(CONTROL_CHARACTERS) < 0) return scriptQuote(word);
  return `$'${[...Buffer.from(word)].map(ansiByte).join('')}'`;
}

/** A word quoted for any POSIX shell: bare, or in single quotes, which carry everything but themselves. */
export function scriptQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function ansiByte(byte: number): string {
  if (byte === 0x0a) return '\\n';
  if (byte === 0x27 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte >= 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\x${byte.toString(16).padStart(2, '0')}`;
}

/** The environment that a command is started with: the task's, its `base`, and its `env`. */
export function childEnvironment(env: Environment, command: Command, invoker: Invoker | undefined): Environment {
  const user = userOf(command, { ...env, ...command.base, ...command.env }, invoker);
  const own = user === undefined ? {} : { HOME: user.home, USER: user.user };
  const all = { ...env, ...command.base, ...own, ...command.env };
  return { ...all, PATH: searchPath(all) };
}

/** The user of a command under sudo; root itself in a checkout of root's, where the user could not write. */
export function userOf(
  { asInvoker, cwd }: Command,
  env: Environment,
  invoker: Invoker | undefined,
): Invoker | undefined {
  if (!asInvoker || invoker === undefined) return undefined;
  const places = [cwd, resolve(cwd, env.CARGO_TARGET_DIR || 'target')];
  const isOfRoot = cwd !== '/' && places.every((path) => ownerOf(path)?.stats.uid === 0);
  return isOfRoot ? undefined : invoker;
}

/** @throws usageError where there is no directory to run in */
export function verifyDirectory(command: Command): void {
  if (statSync(command.cwd, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw usageError(`${argvText(command)} cannot run in ${command.cwd}: there is no such directory`);
}

/** @throws usageError for a command that is too long to be one argument of bash */
export function verifyLength(command: Command, text: string, platform: NodeJS.Platform): void {
  if (platform !== 'linux' || Buffer.byteLength(text) <= ARGUMENT_BYTES_MAX) return;
  throw usageError(
    `the arguments of ${command.argv[0]} are too long together, 127 KiB are allowed; shorten them (E2BIG)`,
  );
}
