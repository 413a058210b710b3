// SPDX-License-Identifier: Apache-2.0

/**
 * The checkout's `.env`. OpenShell's mise configuration loads it, so it counts for a task that is started without that
 * mise, too. The environment wins.
 */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { findCheckout } from '../checkout.ts';
import { shown, TaskError, usageError } from '../errors.ts';
import { type Environment, textOf } from './env.ts';
import { VARIABLES } from './variables.ts';

/** What a file has added to the environment. */
export interface DotEnv {
  /** Absolute. */
  readonly path: string;
  /** The variables that were not set before. */
  readonly names: readonly string[];
  /** Those that a task does not take from a file, at all or under sudo. */
  readonly refused: readonly string[];
}

const SIZE_MAX = 1024 ** 2;

/**
 * One line, or one value of several lines, that mise reads as Node's parser does. Elsewhere they differ: mise takes
 * `a#b` whole, puts variables in the place of `$NAME`, knows more escapes, and refuses blanks in a bare value.
 */
const ENTRY =
  /[ \t]*(?:(?:export )?[A-Za-z_][A-Za-z0-9_.]*[ \t]*=[ \t]*(?:'(?:[^'\r\0]*[^'\\\r\0])?'|"[^"\\$\r\0]*(?:\\n[^"\\$\r\0]*)*"|[^\s'"`$\\#\0]*)(?:[ \t]+#[^\r\n'"]*|[ \t]*)|#.*)?(?:\r?\n|$)/y;

/** Who the user is, whose word is taken, and what is loaded into programs: nothing that a file of a checkout decides. */
const NEVER =
  /^(?:SUDO_.*|HOME|GITHUB_REPOSITORY|LD_.*|DYLD_.*|GCONV_PATH|BASH_ENV|ENV|NODE_OPTIONS|GIT_CONFIG.*|GIT_EXEC_PATH)$/;

/** What steers how a program is loaded is root's to set; what the tasks read, and OpenShell's own, is checked by them. */
const isForRoot = (name: string) => Object.hasOwn(VARIABLES, name) || name.startsWith('OPENSHELL_');

/**
 * The environment with what the `.env` of the checkout adds.
 * @param isRootForUser whether this is root for the user who called sudo
 * @returns without `added` where there is no checkout or file, and where it adds nothing
 * @throws usageError for a file that cannot be read, or not in one way only
 */
export function withDotEnv(
  env: Environment,
  startDirectory: string,
  isRootForUser: boolean = process.geteuid?.() === 0 && textOf(env, 'SUDO_UID') !== undefined,
): { readonly env: Environment; readonly added?: DotEnv } {
  const path = dotEnvPath(env, startDirectory);
  if (path === undefined) return { env };
  const fresh = Object.entries(parseDotEnv(path, textOfFile(path))).filter(([name]) => env[name] === undefined);
  const taken = fresh.filter(([name]) => !NEVER.test(name) && (!isRootForUser || isForRoot(name)));
  if (fresh.length === 0) return { env };
  const names = taken.map(([name]) => name);
  const refused = fresh.map(([name]) => name).filter((name) => !names.includes(name));
  return { env: { ...env, ...Object.fromEntries(taken) }, added: { path, names, refused } };
}

/** The file; `undefined` without a checkout (whoever needs one says so) or without a file in it. */
function dotEnvPath(env: Environment, startDirectory: string): string | undefined {
  try {
    const path = join(findCheckout(env, startDirectory), '.env');
    // As for mise, a directory is no such file; and a pipe would never end.
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? path : undefined;
  } catch (error) {
    if (error instanceof TaskError) return undefined;
    throw error;
  }
}

function textOfFile(path: string): string {
  // More than any program takes, and than the pattern can match.
  if (statSync(path).size > SIZE_MAX) throw usageError(`${path} has more than 1 MiB; make it smaller`);
  try {
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    throw usageError(`${path} cannot be read; remove it, or make it readable`, { cause });
  }
}

/**
 * The variables of a text.
 * @param path where the text is from, for the error
 * @throws usageError with the first line that mise could read in another way; without its value, which may be secret
 */
export function parseDotEnv(path: string, text: string): Record<string, string> {
  const values: Record<string, string | undefined> = {};
  for (let at = 0; at < text.length; ) {
    ENTRY.lastIndex = at;
    const [entry] = ENTRY.exec(text) ?? [];
    if (entry === undefined) throw unclear(path, text, at);
    // One by one: after an empty value with a blank the parser would take the next line for it.
    Object.assign(values, parseEnv(entry));
    at += entry.length;
  }
  return values as Record<string, string>;
}

function unclear(path: string, text: string, at: number): TaskError {
  const [line = ''] = text.slice(at).split(/\r?\n/, 1);
  const name = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.]*)[ \t]*=/.exec(line)?.[1];
  const problem =
    name === undefined
      ? 'is neither NAME=value nor a comment; correct it'
      : `has a value for ${shown(name)} that programs read differently; put the value itself in single quotes`;
  return usageError(`${path}: line ${text.slice(0, at).split('\n').length} ${problem}`);
}
