// SPDX-License-Identifier: Apache-2.0

/**
 * Programs that are started through mise. mise gives them an environment of its own, and what it sets wins over what
 * the task has: whoever decides by a command's environment has to know it.
 */

import { basename } from 'node:path';
import type { Command } from './command.ts';
import { isTable, parseJson } from './data.ts';
import type { Environment } from './environment.ts';
import { shown, usageError } from './errors.ts';

/** What stands before the words of a program that mise provides. */
export const MISE_PREFIX = ['mise', 'x', '--'] as const;

/** The words of mise in front of a command, up to `--`; empty where the command does not go through mise. */
export function misePrefixOf({ argv }: Command): readonly string[] {
  return basename(argv[0]) === 'mise' ? argv.slice(0, argv.indexOf('--') + 1) : [];
}

/** The name of the program that a command starts, behind mise too. */
export function programName(value: Command): string {
  return basename(value.argv[misePrefixOf(value).length] ?? '');
}

/**
 * The command with those of its variables set once more behind mise that mise would win over.
 *
 * @param env what mise sets
 */
export function insideMise(value: Command, env: Environment): Command {
  const prefix = misePrefixOf(value);
  const entries = Object.entries(value.env).filter(([name]) => env[name] !== undefined);
  if (prefix.length === 0 || entries.length === 0) return value;
  const removed = entries.flatMap(([name, text]) => (text === undefined ? ['-u', name] : []));
  const added = entries.flatMap(([name, text]) => (text === undefined ? [] : [`${name}=${text}`]));
  const words = [...prefix, 'env', ...removed, ...added, ...value.argv.slice(prefix.length)];
  return { ...value, argv: words as [string, ...string[]] };
}

/**
 * Reads the answer of `mise env --json`.
 *
 * @throws usageError when it is no table of texts
 */
export function parseMiseEnvironment(text: string): Environment {
  const answer = parseJson(text);
  if (isTable(answer) && Object.values(answer).every((value) => typeof value === 'string'))
    return answer as Environment;
  throw usageError(`mise env --json answers ${shown(text)}, which is no table of texts; check: mise doctor`);
}
