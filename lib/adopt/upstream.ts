// SPDX-License-Identifier: Apache-2.0

/** OpenShell's own tasks, as facts to record and to compare, and what a change of them concerns. */

import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TomlTable, TomlValue } from 'smol-toml';
import { CONFIG_FILES } from '../cargo/mise.ts';
import { usageError } from '../errors.ts';
import { isTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { includesOf, parseToml } from './local-file.ts';

type Digests = Readonly<Record<string, string>>;

export interface Facts {
  /** The settings of each task. */
  readonly tasks: Readonly<Record<string, Digests>>;
  readonly scripts: Digests;
}

export interface Upstream extends Facts {
  /** The scripts that a task runs, directly or through other scripts. */
  readonly uses: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Where the checkout's own configuration says that its tasks are.
 * @throws usageError where it says nothing
 */
export function upstreamIncludes(root: string): TomlValue[] {
  const includes = includesOf(configOf(root));
  if (includes !== undefined) return includes;
  throw usageError(`${join(root, CONFIG_FILES[0])} sets no includes in [task_config], as OpenShell's does; update it`);
}

function configOf(root: string): TomlTable {
  const path = CONFIG_FILES.map((name) => join(root, name)).find((one) => textIn(one) !== undefined);
  return path === undefined ? {} : parseToml(path, textIn(path) ?? '');
}

/** @throws usageError for a file of tasks that is not TOML */
export function readUpstream(root: string): Upstream {
  const files = globSync(upstreamIncludes(root).map(String), { cwd: root }).filter((path) => path.endsWith('.toml'));
  const tables = files.map((path) => parseToml(join(root, path), textIn(join(root, path)) ?? ''));
  const { tasks: own } = configOf(root);
  // A task may be nothing but its command, and its description changes nothing.
  const definitions = [...tables, isTable(own) ? own : {}]
    .flatMap((table) => Object.entries(table))
    .map(([name, task]) => [name, isTable(task) ? { ...task, description: undefined } : { run: task }] as const);
  const texts = scriptTexts(root, JSON.stringify(definitions));
  return {
    tasks: sorted(definitions.map(([name, task]) => [name, digests(task)])),
    scripts: digests(Object.fromEntries(texts)),
    uses: new Map(definitions.map(([name, task]) => [name, reached(texts, JSON.stringify(task))])),
  };
}

/** The scripts of the tasks, and those that tasks name elsewhere. */
function scriptTexts(root: string, definitions: string): ReadonlyMap<string, string> {
  const named = definitions.match(/\b[\w./-]+\.(?:sh|py|ps1)\b/g) ?? [];
  const texts = new Map<string, string>();
  for (const path of globSync(['tasks/scripts/**/*', ...named], { cwd: root })) {
    const text = textIn(join(root, path));
    if (text !== undefined) texts.set(path, text);
  }
  return texts;
}

/** The scripts that a text names, and that those name. */
function reached(texts: ReadonlyMap<string, string>, text: string, found = new Set<string>()): Set<string> {
  for (const [path, next] of texts) {
    if (found.has(path) || !text.includes(`/${basename(path)}`)) continue;
    // What a comment names is not run.
    reached(texts, next.replaceAll(/^[ \t]*#.*$/gm, ''), found.add(path));
  }
  return found;
}

function digests(table: Readonly<Record<string, unknown>>): Digests {
  const entries = Object.entries(table).filter(([, value]) => value !== undefined);
  const digest = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
  return sorted(entries.map(([name, value]) => [name, digest(value)]));
}

function sorted<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries([...entries].sort(([left], [right]) => (left < right ? -1 : 1)));
}

/** A phrase (`task gateway: other run`), and our tasks by name, or by file where they have no name. */
export type Difference = readonly [what: string, ours: readonly string[]];

/**
 * @param ours our tasks by name, with their files
 * @param files the files of all our tasks
 */
export function compareUpstream(
  recorded: Facts,
  now: Upstream,
  ours: ReadonlyMap<string, readonly string[]>,
  files: readonly string[],
): Difference[] {
  const named = [...ours.values()].flat();
  const tasks = different(recorded.tasks, now.tasks).map(([name, before, after]): Difference => {
    const settings = different(before ?? {}, after ?? {}).map(([setting]) => setting);
    return [`task ${name}: ${howOf(before, after, `other ${settings.join(', ')}`)}`, ours.has(name) ? [name] : []];
  });
  const scripts = different(recorded.scripts, now.scripts).map(([path, before, after]): Difference => {
    const users = [...ours.keys()].filter((name) => now.uses.get(name)?.has(path));
    const own = files.filter((file) => file === counterpart(path) && !named.includes(file));
    return [`script ${path}: ${howOf(before, after, 'other content')}`, [...users, ...own]];
  });
  return [...tasks, ...scripts];
}

function howOf(before: unknown, after: unknown, changed: string): string {
  return before === undefined ? 'new' : after === undefined ? 'removed' : changed;
}

/** The file of ours that takes the place of a script; those with another name have a mise task. */
function counterpart(path: string): string {
  return path.replace(/^tasks\/scripts\/(.*)\.\w+$/, 'tasks/$1.ts');
}

/** The entries that are not the same in two tables, with both values. */
function different<T>(before: Readonly<Record<string, T>>, after: Readonly<Record<string, T>>) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const entries = [...names].map((name) => [name, before[name], after[name]] as const);
  return entries.filter(([, left, right]) => JSON.stringify(left) !== JSON.stringify(right));
}
