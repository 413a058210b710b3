// SPDX-License-Identifier: Apache-2.0

/** Which OpenShell checkout the tasks work on, and its `.env`, which counts without OpenShell's mise, too. */

import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { type Environment, textOf } from './cli/env.ts';
import { VARIABLES } from './cli/variables.ts';
import { shown, TaskError, usageError } from './errors.ts';
import { ancestorsOf, contentOf, textIn } from './fs/paths.ts';
import { PRODUCT } from './product.ts';

const ROOT_VARIABLE = 'OPENSHELL_ROOT';

/** The suite's own directory. */
export const SUITE_ROOT = dirname(import.meta.dirname);

/**
 * The absolute, real path of the checkout: `OPENSHELL_ROOT` if set, else the one that the suite lives in, else the
 * nearest parent of `startDirectory` that is one.
 * @throws usageError when the variable names no checkout, or none is found
 */
export function findCheckout(env: Environment, startDirectory: string, suiteRoot: string = SUITE_ROOT): string {
  const named = textOf(env, ROOT_VARIABLE);
  const places = [...ancestorsOf(suiteRoot), ...ancestorsOf(resolve(startDirectory))];
  const root = (named === undefined ? places : [resolve(startDirectory, named)]).find(isCheckout);
  if (root !== undefined) return realpathSync(root);
  throw usageError(
    named === undefined
      ? `no ${PRODUCT.name} checkout at or above ${shown(startDirectory)}; ` +
          `start the task inside one, or set ${ROOT_VARIABLE} to its path`
      : `${ROOT_VARIABLE} is ${shown(named)}, which is not an ${PRODUCT.name} checkout ` +
          `(it needs a Cargo.toml with [workspace] and ${PRODUCT.landmark}); set it to one or unset it`,
  );
}

/** Whether the directory has what every checkout has (neither `.git` nor `Cargo.lock` is needed). */
export function isCheckout(directory: string): boolean {
  // With the dot, only a directory is found.
  if (!existsSync(`${join(directory, PRODUCT.landmark)}/.`)) return false;
  return /^[ \t]*\[workspace\]/m.test(textIn(join(directory, 'Cargo.toml')) ?? '');
}

export interface DotEnv {
  readonly path: string;
  readonly names: readonly string[];
  /** Under sudo: what a file of a checkout does not decide for root. */
  readonly refused: readonly string[];
}

/**
 * One line, or one value of several lines, that mise reads as Node's parser does. Elsewhere they differ: mise takes
 * `a#b` whole, puts variables in the place of `$NAME`, knows more escapes, and refuses blanks in a bare value.
 */
const ENTRY =
  /[ \t]*(?:(?:export )?[A-Za-z_][A-Za-z0-9_.]*[ \t]*=[ \t]*(?:'(?:[^'\r\0]*[^'\\\r\0])?'|"[^"\\$\r\0]*(?:\\n[^"\\$\r\0]*)*"|[^\s'"`$\\#\0]*)(?:[ \t]+#[^\r\n'"]*|[ \t]*)|#.*)?(?:\r?\n|$)/y;

/** What steers how a program is loaded is root's to set; what the tasks read, and OpenShell's own, is checked by them. */
const isForRoot = (name: string) => Object.hasOwn(VARIABLES, name) || name.startsWith('OPENSHELL_');

/**
 * The environment with what the `.env` of the checkout adds; the environment wins.
 * @param isRootForUser whether this is root for the user who called sudo
 * @returns without `added` where there is no checkout or file, and where it adds nothing
 * @throws usageError for a file that can be read in several ways
 */
export function withDotEnv(
  env: Environment,
  startDirectory: string,
  isRootForUser: boolean = process.geteuid?.() === 0 && textOf(env, 'SUDO_UID') !== undefined,
): { readonly env: Environment; readonly added?: DotEnv } {
  const path = dotEnvPath(env, startDirectory);
  if (path === undefined) return { env };
  const values = parseDotEnv(
    path,
    contentOf(path)
      .toString()
      .replace(/^\uFEFF/, ''),
  );
  const fresh = Object.keys(values).filter((name) => env[name] === undefined);
  if (fresh.length === 0) return { env };
  const names = fresh.filter((name) => !isRootForUser || isForRoot(name));
  const refused = fresh.filter((name) => !names.includes(name));
  const taken = Object.fromEntries(names.map((name) => [name, values[name]]));
  return { env: { ...env, ...taken }, added: { path, names, refused } };
}

/** The file; `undefined` without a checkout (whoever needs one says so), and for what mise does not read either. */
function dotEnvPath(env: Environment, startDirectory: string): string | undefined {
  try {
    const path = join(findCheckout(env, startDirectory), '.env');
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? path : undefined;
  } catch (error) {
    if (error instanceof TaskError) return undefined;
    throw error;
  }
}

/** @throws usageError with the first line that mise could read in another way; without its value, which may be secret */
export function parseDotEnv(path: string, text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (let at = 0; at < text.length; ) {
    ENTRY.lastIndex = at;
    const [entry] = ENTRY.exec(text) ?? [];
    if (entry === undefined) {
      const line = text.slice(0, at).split('\n').length;
      throw usageError(
        `${path}: line ${line} is not NAME=value as every program reads it; put the value itself in single quotes`,
      );
    }
    // One by one: after an empty value with a blank the parser would take the next line for it.
    Object.assign(values, parseEnv(entry));
    at += entry.length;
  }
  return values;
}
