// SPDX-License-Identifier: Apache-2.0

/** The entries of OpenShell's `tasks/*.toml` that call a script: they call ours, and keep the rest of what they say. */

import { parse, stringify } from 'smol-toml';
import { byPath, DEPENDENCIES, HOME, INSTALL, REPLACED, RUNNER_TEST, replacementIn, STAYING } from './scripts.ts';

/** A task of the suite's own mise.toml, as far as it matters here. */
export interface OwnTask {
  readonly run?: string;
  readonly dir?: string;
  readonly raw?: boolean;
}

interface Entry extends OwnTask {
  readonly depends?: readonly string[];
}

/** One file of tasks, with the calls replaced; a task that ours does not have keeps its script. */
export function rewriteEntries(text: string, own: Readonly<Record<string, OwnTask>>): string {
  return blocksOf(text)
    .map((block) => rewriteEntry(block, own))
    .join('');
}

/** The tables of a file. A line that looks like the head of one may be part of a text: then the table so far ends early. */
function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  let open = '';
  for (const piece of text.split(/^(?=\[[^[\]\n]+\]$)/m)) {
    open += piece;
    if (!isToml(open)) continue;
    blocks.push(open);
    open = '';
  }
  return [...blocks, open];
}

function isToml(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The file with the mise task that installs what ours need, and with no other. */
export function dependenciesFile(header: string): string {
  const files = [`${HOME}/package.json`, `${HOME}/package-lock.json`];
  return `${header}
# What the tasks in ${HOME} need besides Node

["${DEPENDENCIES}"]
description = "Install the dependencies of the tasks"
run = "${INSTALL}"
run_windows = "echo Skipping ${DEPENDENCIES}: the tasks are for Linux and macOS."
hide = true
sources = [${files.map((path) => `"${path}"`).join(', ')}]
outputs = ["${HOME}/node_modules/.package-lock.json"]
`;
}

function rewriteEntry(block: string, own: Readonly<Record<string, OwnTask>>): string {
  const [name, entry] = Object.entries(parse(block) as Record<string, Entry>)[0] ?? [];
  if (name === undefined || entry === undefined) return block;
  const called = [...REPLACED, ...STAYING].filter((script) => byPath(script).test(block));
  const task = name === RUNNER_TEST ? RUNNER_TASK : own[name];
  if (called.length === 0) return block;
  if (typeof entry.run === 'string' && !entry.run.includes('\n') && task?.run !== undefined) {
    return withDependencies(ownCall(block, entry, task), entry);
  }
  const rewritten = REPLACED.reduce(
    (result, script) => result.replace(byPath(script), `node ${replacementIn(script)}`),
    block,
  );
  return rewritten === block ? block : withDependencies(rewritten, entry);
}

/** The suite's own test of the runner, and the test of the script that stays. */
const RUNNER_TASK = {
  dir: '{{config_root}}',
  run: [
    `npm install --no-audit --no-fund --silent --prefix ${HOME}`,
    `npm run --silent test:build-env --prefix ${HOME}`,
    'tasks/scripts/test-build-env.sh',
  ],
};

function ownCall(block: string, entry: Entry, task: Omit<OwnTask, 'run'> & { run?: string | string[] }): string {
  const run = [task.run ?? []]
    .flat()
    .map((line) => line.replaceAll('$MISE_CONFIG_ROOT/', `$MISE_CONFIG_ROOT/${HOME}/`));
  const raw = task.raw === true && entry.raw !== true ? ['raw = true'] : [];
  const dir = task.dir === undefined || entry.dir !== undefined ? [] : [`dir = "${task.dir}"`];
  const lines = [...raw, ...dir, `run = ${run.length === 1 ? quoted(run[0] ?? '') : list(run)}`].join('\n');
  return block.replace(/^run = .*$/m, () => lines);
}

/** A literal where it can be one: the paths in it are quoted. */
const quoted = (text: string) => (text.includes("'") ? stringify({ x: text }).slice('x = '.length) : `'${text}'`);

const list = (lines: readonly string[]) => `[\n${lines.map((line) => `  ${quoted(line)},\n`).join('')}]`;

function withDependencies(block: string, { depends = [] }: Entry): string {
  const all = [...depends, DEPENDENCIES].map((name) => `"${name}"`).join(', ');
  const line = `depends = [${all}]`;
  if (depends.length > 0) return block.replace(/^depends = \[[^\]]*\]/m, line);
  return block.replace(/^run = /m, `${line}\nrun = `);
}
