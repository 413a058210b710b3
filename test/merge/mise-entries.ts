// SPDX-License-Identifier: Apache-2.0

/** The entries of OpenShell's `tasks/*.toml` that call a script: they call ours, and keep the rest of what they say. */

import { stringify } from 'smol-toml';
import { byPath, HOME, REPLACED, rewriteCalls, STAYING } from './scripts.ts';

/** A task of the suite's own mise.toml, as far as it matters here. */
export interface OwnTask {
  readonly run?: string;
  readonly dir?: string;
  readonly raw?: boolean;
}

/** The only task that needs the development dependencies; it also tests the script that stays. */
const RUNNER_TEST = 'test:build-env';
const RUNNER_LINES = [
  `npm install --no-audit --no-fund --silent --prefix ${HOME}`,
  `npm run --silent test:build-env --prefix ${HOME}`,
  'tasks/scripts/test-build-env.sh',
];

/** One file of tasks, with the calls replaced; a task that ours does not have keeps its script. */
export function rewriteEntries(text: string, own: Readonly<Record<string, OwnTask>>): string {
  // What is no head but looks like one, in a text, calls nothing in its own right: it is put back as it was.
  return text
    .split(/^(?=\[[^[\]\n]+\]$)/m)
    .map((entry) => rewriteEntry(entry, own))
    .join('');
}

function rewriteEntry(entry: string, own: Readonly<Record<string, OwnTask>>): string {
  const name = /^\["?([^"\]]+)/.exec(entry)?.[1] ?? '';
  const run = /^run = "([^"\n]+)"$/m.exec(entry)?.[1] ?? '';
  if (![...REPLACED, ...STAYING].some((script) => byPath(script).test(entry))) return entry;
  const isCall = own[name]?.run !== undefined && run !== '';
  const called = isCall ? ownCall(entry, name, own[name] ?? {}) : rewriteCalls(entry);
  return called === entry ? entry : withDependencies(called);
}

function ownCall(entry: string, name: string, { run = '', raw, dir }: OwnTask): string {
  const isTest = name === RUNNER_TEST;
  const ours = run.replaceAll('$MISE_CONFIG_ROOT/', `$MISE_CONFIG_ROOT/${HOME}/`);
  const lines = [
    ...(raw === true && !/^raw = /m.test(entry) ? ['raw = true'] : []),
    ...(dir === undefined || isTest || /^dir = /m.test(entry) ? [] : [`dir = "${dir}"`]),
    `run = ${isTest ? `[\n${RUNNER_LINES.map((line) => `  "${line}",\n`).join('')}]` : quoted(ours)}`,
  ];
  return entry.replace(/^run = .*$/m, () => lines.join('\n'));
}

/** A literal where it can be one: the paths in it are quoted. */
const quoted = (text: string) =>
  text.includes("'") ? stringify({ x: text }).slice('x = '.length).trim() : `'${text}'`;

function withDependencies(entry: string): string {
  const depends = /^depends = \[([^\]]*?),?\s*\]/m;
  if (depends.test(entry)) return entry.replace(depends, 'depends = [$1, "tasks:deps"]');
  return entry.replace(/^run = /m, 'depends = ["tasks:deps"]\nrun = ');
}
