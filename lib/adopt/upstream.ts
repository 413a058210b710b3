// SPDX-License-Identifier: Apache-2.0

/** OpenShell's own tasks, as facts to record and to compare, and what a change of them concerns. */

import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { TomlTable, TomlValue } from 'smol-toml';
import { CONFIG_FILES } from '../cargo/find-toolchain.ts';
import { usageError } from '../errors.ts';
import { isTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { includesOf, parseToml } from './local-file.ts';

type Digests = Readonly<Record<string, string>>;

export interface Facts {
  readonly tasks: Readonly<Record<string, Digests>>;
  readonly scripts: Digests;
}

/** With the scripts that each task runs, directly or through other scripts. */
export type Upstream = Facts & { readonly uses: ReadonlyMap<string, ReadonlySet<string>> };

/** Where the checkout's own configuration says that its tasks are. @throws usageError where it says nothing */
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
    tasks: Object.fromEntries(definitions.map(([name, task]) => [name, digests(task)])),
    scripts: digests(Object.fromEntries(texts)),
    uses: new Map(definitions.map(([name, task]) => [name, reached(texts, JSON.stringify(task))])),
  };
}

/** The scripts of the tasks, and those that tasks name elsewhere. */
function scriptTexts(root: string, definitions: string): ReadonlyMap<string, string> {
  const named = definitions.match(/\b[\w./-]+\.(?:sh|py|ps1)\b/g) ?? [];
  const paths = globSync(['tasks/scripts/**/*', ...named], { cwd: root });
  const texts = paths.map((path) => [path, textIn(join(root, path))] as const);
  return new Map(texts.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
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
  return Object.fromEntries(entries.map(([name, value]) => [name, digest(value)]));
}

/** A phrase (`task gateway: other run`), and our tasks by name, or by file where they have no name. */
export type Difference = readonly [what: string, ours: readonly string[]];

/** @param ours our tasks by name, with their files; `files` are those of all */
export function compareUpstream(
  recorded: Facts,
  now: Upstream,
  ours: ReadonlyMap<string, readonly string[]>,
  files: readonly string[],
): Difference[] {
  const tasks = different(recorded.tasks, now.tasks).map(([name, before, after]): Difference => {
    const settings = different(before ?? {}, after ?? {}).map(([setting]) => setting);
    const how = before && after ? `other ${settings.join(', ')}` : before ? 'removed' : 'new';
    return [`task ${name}: ${how}`, ours.has(name) ? [name] : []];
  });
  const scripts = different(recorded.scripts, now.scripts).map(([path, before, after]): Difference => {
    const users = [...ours.keys()].filter((name) => now.uses.get(name)?.has(path));
    const counterpart = path.replace(/^tasks\/scripts\/(.*)\.\w+$/, 'tasks/$1.ts');
    const named = users.flatMap((name) => ours.get(name) ?? []);
    const own = files.filter((file) => file === counterpart && !named.includes(file));
    const how = before && after ? 'other content' : before ? 'removed' : 'new';
    return [`script ${path}: ${how}`, [...users, ...own]];
  });
  return [...tasks, ...scripts];
}

/** The entries that are not the same in two tables, with both values. */
function different<T>(before: Readonly<Record<string, T>>, after: Readonly<Record<string, T>>) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const entries = [...names].sort().map((name) => [name, before[name], after[name]] as const);
  return entries.filter(([, left, right]) => !isDeepStrictEqual(left, right));
}
