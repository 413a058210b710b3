// SPDX-License-Identifier: Apache-2.0

/** Adopting: a checkout's `mise run` starts the tasks of this clone, until it is undone. No tracked file is changed. */

import { existsSync, globSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { isCheckout, SUITE_ROOT } from '../checkout.ts';
import { findOrMark } from '../cli/dry-run-marks.ts';
import { oneLine, usageError } from '../errors.ts';
import { sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { parseJson } from '../fs/parse-json.ts';
import { contentOf, textIn } from '../fs/paths.ts';
import { files, verifyPlaces } from '../fs/writable-places.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { requireProgram } from '../process/which.ts';
import { type AdoptFlags, resolveCheckout, userPath } from './config.ts';
import { adoptedBy, withoutTasks, withTasks } from './local-file.ts';
import { declaredTasks, tasksFileText } from './tasks-file.ts';
import { compareUpstream, type Facts, readUpstream, upstreamIncludes } from './upstream.ts';

const PROBE_TIMEOUT_MS = 30_000;
const LOCAL_FILE = 'mise.local.toml';
const TASKS_FILE = join(SUITE_ROOT, '.adopt/adopt-tasks.toml');
const WITHOUT_MISE = `start tasks with ${shellQuote(join(SUITE_ROOT, 'bin/openshell-tasks.sh'))}`;

/**
 * Adopts, undoes it, or checks it.
 * @param named the checkout; else the nearest one
 * @returns 1 where a check finds something that concerns our tasks
 * @throws usageError where it cannot be done, and then nothing has changed
 */
export async function adopt(ctx: RunnerContext, named: string | undefined, flags: AdoptFlags): Promise<number> {
  const root = resolveCheckout(ctx, named, flags);
  const declared = contentOf(join(SUITE_ROOT, 'mise.toml')).toString();
  const roots = await worktreesOf(ctx, root, flags.worktrees);
  if (flags.check) return check(ctx, declared, roots);
  verifyPlaces(ctx.terminal, files(...(flags.undo ? [] : [TASKS_FILE]), ...roots.map(localFileOf)));
  const locals = roots.map((one) => changeIn(one, flags.undo));
  if (flags.undo && locals.every(({ before, after }) => before === after)) {
    throw usageError(`${root} is not adopted, so there is nothing to undo`);
  }
  const tasks = { path: TASKS_FILE, before: textAt(TASKS_FILE), after: tasksFileText(declared, SUITE_ROOT) };
  const changes = flags.undo ? locals : [tasks, ...locals];
  const hint = `install it (https://mise.jdx.dev), or ${WITHOUT_MISE}`;
  const search = async () => requireProgram('mise', { ...ctx.env, PATH: userPath(ctx.env) }, hint);
  const mise = flags.undo ? undefined : await findOrMark(ctx.unknowns, search);
  if (flags['dry-run']) {
    ctx.terminal.result(...changes.map(({ path, after }) => `# ${after === undefined ? 'removes' : 'writes'} ${path}`));
    return 0;
  }
  try {
    for (const { path, after } of changes) write(path, after);
    const names = [...declaredTasks(declared).keys()];
    if (mise !== undefined) await Promise.all(roots.map((one) => verify(ctx, mise, one, names)));
  } catch (error) {
    for (const { path, before } of changes) write(path, before);
    throw error;
  }
  for (const [index, one] of roots.entries()) say(ctx, one, adoptedBy(locals[index]?.before), flags.undo);
  return 0;
}

/** The checkouts to work on: the one that is named, or it and its other worktrees. */
async function worktreesOf(ctx: RunnerContext, root: string, isForAll: boolean): Promise<string[]> {
  const { env, runner, terminal, unknowns } = ctx;
  const command = cmd({ cwd: root, asInvoker: true })`git worktree list --porcelain`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  const search = async () => requireProgram('git', env, 'install it, or leave out --worktrees');
  const isAsked = isForAll && (await findOrMark(unknowns, search)) !== undefined;
  if (isAsked && !result.ok) throw usageError(`git cannot list the worktrees of ${root}: ${oneLine(result.reason)}`);
  // Without git there is only this one.
  const listed = result.ok ? [...result.output.matchAll(/^worktree (.*)$/gm)].map(([, path = '']) => path) : [];
  const others = listed.filter((path) => path !== root && isCheckout(path));
  if (isForAll) return [root, ...others];
  const list = others.map((path) => shellQuote(path)).join(', ');
  if (list !== '') terminal.say(`each worktree has its own ${LOCAL_FILE}; --worktrees does these as well: ${list}`);
  return [root];
}

/** The file, or the one that a link in its place leads to: it stays a link. */
function localFileOf(root: string): string {
  const path = join(root, LOCAL_FILE);
  return existsSync(path) ? realpathSync(path) : path;
}

/** What becomes of a checkout's file: its text, or none. */
function changeIn(root: string, isUndo: boolean) {
  const path = localFileOf(root);
  const before = textAt(path);
  const ours = { suite: SUITE_ROOT, tasksFile: TASKS_FILE };
  const after = isUndo ? withoutTasks(path, before) : withTasks(path, before, upstreamIncludes(root), ours);
  return { path, before, after };
}

function textAt(path: string): string | undefined {
  return existsSync(path) ? contentOf(path).toString() : undefined;
}

function write(path: string, text: string | undefined): void {
  sweepTemporary(path);
  const { mode } = statSync(path, { throwIfNoEntry: false }) ?? { mode: 0o644 };
  if (text === undefined) asOwner(path, () => rmSync(path, { force: true }));
  else writeWhole(path, text, mode & 0o777);
}

/** @throws usageError where mise takes a task from elsewhere, or git sees the file */
async function verify({ runner }: RunnerContext, mise: string, root: string, names: string[]) {
  const command = cmd({ cwd: root, asInvoker: true });
  const listed = await runner.probe(command`${mise} tasks --hidden --json`, PROBE_TIMEOUT_MS);
  const otherwise = `so nothing is changed; ${WITHOUT_MISE} instead`;
  if (!listed.ok) throw usageError(`mise cannot list the tasks of ${root} (${oneLine(listed.reason)}), ${otherwise}`);
  const found = parseJson(listed.output);
  const sources = new Map(Array.isArray(found) ? found.map(({ name, source }) => [name, source]) : []);
  const missed = names.find((name) => sources.get(name) !== TASKS_FILE);
  if (missed !== undefined) {
    const source = oneLine(String(sources.get(missed) ?? 'nowhere'));
    const hint = 'or update mise, or see with "mise config" which file sets includes';
    throw usageError(`in ${root} mise takes the task ${missed} from ${source}, ${otherwise}, ${hint}`);
  }
  const seen = await runner.probe(command`git status --porcelain -- ${LOCAL_FILE}`, PROBE_TIMEOUT_MS);
  if (!seen.ok || seen.output === '') return;
  throw usageError(`git does not ignore ${LOCAL_FILE} in ${root}, so nothing is changed; add it to .git/info/exclude`);
}

function say({ terminal }: RunnerContext, root: string, by: string | undefined, isUndo: boolean): void {
  const undo = `npm run --prefix ${shellQuote(SUITE_ROOT)} adopt -- --undo ${shellQuote(root)}`;
  if (isUndo) terminal.say(`${root}: ${by === undefined ? 'was not adopted' : 'not adopted any more'}`);
  else terminal.say(`${root}: mise run starts the tasks of ${SUITE_ROOT}; to undo: ${undo}`);
  if (!isUndo && ![undefined, SUITE_ROOT].includes(by))
    terminal.warn(`${root} was adopted by ${by}, and is not any more`);
}

/** Prints who has adopted, and what has changed in upstream's tasks. */
function check({ terminal }: RunnerContext, declared: string, roots: readonly string[]): number {
  const recorded = JSON.parse(contentOf(join(SUITE_ROOT, 'pins/upstream-tasks.json')).toString()) as Facts;
  const own = globSync('tasks/**/*.ts', { cwd: SUITE_ROOT });
  const isOld = textIn(TASKS_FILE) !== tasksFileText(declared, SUITE_ROOT);
  const results = roots.flatMap((root) => {
    const by = adoptedBy(textAt(join(root, LOCAL_FILE)));
    const state = by === SUITE_ROOT && isOld ? ', whose tasks have changed since: adopt again' : '';
    terminal.result(`${root}: ${by === undefined ? 'not adopted' : `adopted by ${by}${state}`}`);
    const differences = compareUpstream(recorded, readUpstream(root), declaredTasks(declared), own);
    if (differences.length === 0) terminal.result("OpenShell's own tasks are as they were when these were written");
    for (const [what, ours] of differences) terminal.result(`${what}; ours: ${ours.join(', ') || 'none'}`);
    return differences;
  });
  return results.some(([, ours]) => ours.length > 0) ? 1 : 0;
}
