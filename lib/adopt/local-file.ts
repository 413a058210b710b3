// SPDX-License-Identifier: Apache-2.0

/**
 * The text of a checkout's mise.local.toml with the tasks of the suite, and without them. What is the user's stays where
 * it is; what has to give way is kept as a comment, so that undoing restores every byte and loses no later change.
 */

import { isDeepStrictEqual } from 'node:util';
import { parse, type TomlTable, type TomlValue } from 'smol-toml';
import { oneLine, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/parse-json.ts';

const BEGIN = '# >>> openshell-tasks: adopted by ';
const END = '# <<< openshell-tasks';
const KEPT = '#| ';
const HEADER = '[task_config]';

/** The clone whose tasks a text has; `undefined` where it has none. */
export function adoptedBy(text: string | undefined): string | undefined {
  const line = text?.split('\n').find((one) => one.startsWith(BEGIN));
  return line && String(parseJson(line.slice(BEGIN.length)) ?? '?');
}

/** Where a table of mise's configuration says that tasks are; `undefined` where it says nothing. */
export function includesOf({ task_config: config }: TomlTable): TomlValue[] | undefined {
  return isTable(config) && Array.isArray(config.includes) ? config.includes : undefined;
}

/** @throws usageError with the first problem */
export function parseToml(path: string, text: string): TomlTable {
  try {
    return parse(text);
  } catch (error) {
    const [problem = ''] = (error as Error).message.split('\n');
    throw usageError(`${path} cannot be read as TOML (${oneLine(problem)}); correct it`);
  }
}

/**
 * The text with the tasks.
 * @param text as it is now, `undefined` where there is no file
 * @param upstream the includes that count where the text has none
 * @throws usageError where it is not TOML, or written in a way that only its author can change
 */
export function withTasks(
  path: string,
  text: string | undefined,
  upstream: readonly TomlValue[],
  { suite, tasksFile }: { readonly suite: string; readonly tasksFile: string },
): string {
  const before = withoutTasks(path, text);
  const wanted = parseToml(path, before ?? '');
  // The last one wins.
  const includes = [...(includesOf(wanted) ?? upstream), tasksFile];
  wanted.task_config = Object.assign(wanted.task_config ?? parse(''), { includes });
  const value = `[${includes.map((one) => JSON.stringify(one)).join(', ')}]`;
  const lines = before?.split('\n') ?? [];
  for (const [at, count, ...added] of changes(lines, value)) {
    const kept = lines.slice(at, at + count).map((line) => `${KEPT}${line}`);
    const block = [`${BEGIN}${JSON.stringify(suite)}`, ...kept, ...added, END];
    const changed = lines.toSpliced(at, count, ...block, ...(added[0] === HEADER ? [''] : []));
    if (isDeepStrictEqual(tableOf(changed), wanted)) return changed.join('\n');
  }
  throw usageError(`${path} sets includes in an unusual way; put ${JSON.stringify(tasksFile)} last by hand`);
}

/** What may set the includes, in place of those there are, in their table, or in one at the end: where, for how many lines. */
function* changes(lines: readonly string[], value: string): Generator<[at: number, count: number, ...added: string[]]> {
  for (const [at, line] of lines.entries()) {
    const [, name] = /^[ \t]*((?:task_config[ \t]*\.[ \t]*)?includes)[ \t]*=/.exec(line) ?? [];
    const ends = name === undefined ? [] : lines.slice(at).keys();
    const last = [...ends].find((index) => tableOf([...lines.slice(at, at + index + 1), '']));
    if (last !== undefined) yield [at, last + 1, `${name} = ${value}`];
    if (/^[ \t]*\[[ \t]*task_config[ \t]*\]/.test(line)) yield [at + 1, 0, `includes = ${value}`];
  }
  yield [lines.length, 0, HEADER, `includes = ${value}`];
}

/** The text as it was before, `undefined` where there was no file. @throws usageError where the end of ours is gone */
export function withoutTasks(path: string, text: string | undefined): string | undefined {
  const lines = text?.split('\n') ?? [];
  const begin = lines.findIndex((line) => line.startsWith(BEGIN));
  if (begin < 0) return text;
  const end = lines.indexOf(END, begin);
  if (end < 0) throw usageError(`${path} has no line "${END}" any more; remove what is of openshell-tasks by hand`);
  const block = lines.slice(begin + 1, end);
  const kept = block.filter((line) => line.startsWith(KEPT)).map((line) => line.slice(KEPT.length));
  const isAtEnd = block.includes(HEADER) && lines[end + 1] === '';
  const rest = lines.toSpliced(begin, end - begin + (isAtEnd ? 2 : 1), ...kept);
  return rest.length === 0 ? undefined : rest.join('\n');
}

function tableOf(lines: readonly string[]): TomlTable | undefined {
  try {
    return parse(lines.join('\n'));
  } catch {
    return undefined;
  }
}
