// SPDX-License-Identifier: Apache-2.0

/** The tables of environment variables, from the variables' declarations and the tasks' own help. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { defaultText, meaningText } from '../../lib/cli/args.ts';
import { BUILD_VARIABLES, GATEWAY_VARIABLES, type Variable } from '../../lib/cli/variables.ts';
import { runTaskFile, SUITE_ROOT } from './run-task.ts';

/** The page that has the tables. */
export const TABLES_PAGE = 'docs/variables.md';

/** What the tables call each task, in the order of the README; the launchers come last, because they can be one word. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  stage: 'stage',
  'docker-build-image': 'image',
  'docker-build-ci': 'CI image',
  'docker-publish-multiarch': 'publish',
  'e2e-gpu-build-images': 'workloads',
  'docker-cleanup': 'clean-up',
  'keycloak-dev': 'Keycloak',
  'vm/build-supervisor-bundle': 'vm bundle',
  'vm/vm-setup': 'vm setup',
  'vm/download-kernel-runtime': 'vm download',
  'vm/compress-vm-runtime': 'vm compress',
  'vm/package-vm-runtime': 'vm package',
  'vm/build-libkrun': 'libkrun',
  'vm/build-libkrun-macos': 'libkrun on macOS',
  'vm/smoke-orphan-cleanup': 'vm smoke test',
  'package-deb': 'deb',
  'package-deb-install': 'deb install',
  sandbox: 'sandbox',
  adopt: 'adopt',
  'setup-zig-cc-wrapper': 'zig wrapper',
  'test-install-sh': 'installer test',
  'test-packaging-assets': 'packaging test',
  'helm-k3s-local': 'k3s',
  'keycloak-k8s-setup': 'keycloak in k8s',
  gateway: 'gateway',
  'gateway-docker': 'docker',
  'gateway-podman': 'podman',
  'gateway-vm': 'vm',
  doctor: 'doctor',
};
const LAUNCHERS = ['gateway', 'docker', 'podman', 'vm'];

/** The names of all tasks: the paths of their files below tasks/, without the ending. */
export function taskNames(): string[] {
  return readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => path.replace(/\.ts$/, ''))
    .sort();
}

/** The variables that the help of a task lists. */
export async function listedVariables(task: string): Promise<string[]> {
  const { stdout } = await runTaskFile(task, ['--help'], { cwd: SUITE_ROOT, env: { PATH: process.env.PATH ?? '' } });
  const block = /^Environment:\n((?: .*\n)+)/m.exec(stdout)?.[1] ?? '';
  return [...block.matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name);
}

/** The page with its tables as the code says them now. */
export async function withTables(page: string): Promise<string> {
  const tasks = taskNames();
  const listed = new Map(await Promise.all(tasks.map(async (task) => [task, await listedVariables(task)] as const)));
  const tables = { gateways: GATEWAY_VARIABLES, builds: BUILD_VARIABLES };
  return Object.entries(tables).reduce(
    (text, [name, variables]) => withTable(text, name, tableText(variables, listed)),
    page,
  );
}

/** Puts a table between its markers. */
function withTable(readme: string, name: string, table: string): string {
  const place = new RegExp(`(<!-- variables:${name} -->\n)[\\s\\S]*?(<!-- end -->)`);
  if (!place.test(readme)) throw new Error(`${TABLES_PAGE} has no place for the table of ${name}`);
  return readme.replace(place, (_, before: string, after: string) => `${before}\n${table}\n${after}`);
}

function tableText(variables: Readonly<Record<string, Variable>>, listed: ReadonlyMap<string, readonly string[]>) {
  const rows = Object.entries(variables).map(([name, variable]) => {
    const readers = [...listed].filter(([, names]) => names.includes(name)).map(([task]) => task);
    const cells = [meaningText(variable), defaultText(variable) ?? '', readersText(readers, listed)];
    return `| \`${name}\` |${cells.map((cell) => ` ${markdown(cell)}`.trimEnd()).join(' |')} |`;
  });
  return ['| name | meaning | default | read by |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

/** The tasks that read a variable, in the fewest words; `all` is all that read any. */
function readersText(readers: readonly string[], listed: ReadonlyMap<string, readonly string[]>): string {
  const all = namesOf([...listed].filter(([, names]) => names.length > 0).map(([task]) => task));
  const names = namesOf(readers);
  const others = all.filter((name) => !names.includes(name));
  if (others.length === 0) return 'all';
  return others.length < names.length / 2 ? `all but ${others.join(', ')}` : names.join(', ');
}

function namesOf(tasks: readonly string[]): string[] {
  const missing = tasks.find((task) => SHORT_NAMES[task] === undefined);
  if (missing !== undefined)
    throw new Error(`${missing} has no short name; add it to SHORT_NAMES in ${import.meta.filename}`);
  const names = Object.entries(SHORT_NAMES).flatMap(([task, name]) => (tasks.includes(task) ? [name] : []));
  const isAll = LAUNCHERS.every((launcher) => names.includes(launcher));
  return isAll ? [...names.filter((name) => !LAUNCHERS.includes(name)), 'launchers'] : names;
}

/** A text in a cell: names of variables as code, and nothing that Markdown would take for its own. */
function markdown(text: string): string {
  return text.replaceAll(/[|<>*\\]/g, '\\$&').replaceAll(/\b[A-Z]+(?:_[A-Z0-9]+)+(?:=\w+)?\b/g, '`$&`');
}
