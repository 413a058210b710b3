// SPDX-License-Identifier: Apache-2.0

/** Adopting: a checkout's `mise run` starts the tasks of this clone, until it is undone. No tracked file is changed. */

import { existsSync, globSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { isCheckout } from '../checkout.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { oneLine, usageError } from '../errors.ts';
import { sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { parseJson } from '../fs/parse-json.ts';
import { contentOf, textIn } from '../fs/paths.ts';
import { files, type Place, verifyPlaces } from '../fs/writable-places.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { isSameProcess } from '../process/identity.ts';
import { findProgram, requireProgram } from '../process/which.ts';
import { type AdoptConfig, type AdoptFlags, resolveAdoptConfig } from './config.ts';
import { adoptedBy, withoutTasks, withTasks } from './local-file.ts';
import { declaredTasks, tasksFileText } from './tasks-file.ts';
import { compareUpstream, type Facts, readUpstream, upstreamIncludes } from './upstream.ts';

const PROBE_TIMEOUT_MS = 30_000;
const LOCAL_FILE = 'mise.local.toml';

/**
 * Adopts, undoes it, or checks it.
 * @param named the checkout; else the nearest one
 * @returns 1 where a check finds something that concerns our tasks
 * @throws usageError where it cannot be done, and then nothing has changed
 */
export async function adopt(ctx: RunnerContext, named: string | undefined, flags: AdoptFlags): Promise<number> {
  const config = resolveAdoptConfig(ctx, named, flags);
  const { root, suite, tasksFile } = config;
  const declared = contentOf(join(suite, 'mise.toml')).toString();
  const roots = await worktreesOf(ctx, root, flags.worktrees);
  if (flags.check) return check(ctx, config, declared, roots);
  const places = roots.map((one): Place => ({ kind: 'appended', path: join(one, LOCAL_FILE) }));
  verifyPlaces(ctx.terminal, [...places, ...files(...(flags.undo ? [] : [tasksFile]), ...roots.map(localFileOf))]);
  const locals = roots.map((one) => changeIn(config, one, flags.undo));
  if (flags.undo && locals.every(({ before, after }) => before === after)) {
    throw usageError(`${root} is not adopted, so there is nothing to undo`);
  }
  const tasks = { path: tasksFile, before: textAt(tasksFile), after: tasksFileText(declared, suite) };
  const changes = flags.undo ? locals : [tasks, ...locals];
  const hint = `install it (https://mise.jdx.dev), or ${config.withoutMise}`;
  const search = async () => requireProgram('mise', { ...ctx.env, PATH: config.path }, hint);
  const mise = flags.undo ? undefined : await findOrMark(ctx.unknowns, search);
  if (flags['dry-run']) {
    const isPartial = flags.worktrees && findProgram('git', ctx.env) === undefined;
    const others = isPartial ? [`# the same in ${mark('other worktrees', 'git not on PATH')}`] : [];
    const lines = changes.map(({ path, after }) => `# ${after === undefined ? 'removes' : 'writes'} ${path}`);
    ctx.terminal.result(...lines, ...others);
    return 0;
  }
  try {
    for (const { path, after } of changes) write(path, after);
    const names = [...declaredTasks(declared).keys()];
    if (mise !== undefined) await Promise.all(roots.map((one) => verify(ctx, config, mise, one, names)));
  } catch (error) {
    for (const { path, before } of changes) write(path, before);
    throw error;
  }
  for (const [index, one] of roots.entries()) say(ctx, suite, one, adoptedBy(locals[index]?.before), flags.undo);
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
function changeIn(config: AdoptConfig, root: string, isUndo: boolean) {
  const path = localFileOf(root);
  const before = textAt(path);
  const after = isUndo ? withoutTasks(path, before) : withTasks(path, before, upstreamIncludes(root), config);
  return { path, before, after };
}

function textAt(path: string): string | undefined {
  const bytes = existsSync(path) ? contentOf(path) : undefined;
  const text = bytes?.toString();
  if (text === undefined || bytes?.equals(Buffer.from(text))) return text;
  throw usageError(`${path} is not text in UTF-8; correct it`);
}

function write(path: string, text: string | undefined): void {
  sweepTemporary(path, (pid) => isSameProcess({ pid }));
  const { mode } = statSync(path, { throwIfNoEntry: false }) ?? { mode: 0o644 };
  if (text === undefined) asOwner(path, () => rmSync(path, { force: true }));
  else writeWhole(path, text, mode & 0o777);
}

/** @throws usageError where mise takes a task from elsewhere, or git sees the file */
async function verify({ runner }: RunnerContext, config: AdoptConfig, mise: string, root: string, names: string[]) {
  const command = cmd({ cwd: root, asInvoker: true });
  const listed = await runner.probe(command`${mise} tasks --hidden --json`, PROBE_TIMEOUT_MS);
  if (!listed.ok && /\bnot trusted\b/.test(listed.reason)) {
    throw usageError(`mise does not trust ${root}, so nothing is changed; run: mise trust ${shellQuote(root)}`);
  }
  const otherwise = `so nothing is changed; ${config.withoutMise} instead`;
  if (!listed.ok) throw usageError(`mise cannot list the tasks of ${root} (${oneLine(listed.reason)}), ${otherwise}`);
  const found = parseJson(listed.output);
  const sources = new Map(Array.isArray(found) ? found.map(({ name, source }) => [name, source]) : []);
  const missed = names.find((name) => sources.get(name) !== config.tasksFile);
  if (missed !== undefined) {
    const source = oneLine(String(sources.get(missed) ?? 'nowhere'));
    const hint = 'or update mise, or see with "mise config" which file sets includes';
    throw usageError(`in ${root} mise takes the task ${missed} from ${source}, ${otherwise}, ${hint}`);
  }
  const seen = await runner.probe(command`git status --porcelain -- ${LOCAL_FILE}`, PROBE_TIMEOUT_MS);
  if (!seen.ok || seen.output === '') return;
  throw usageError(`git does not ignore ${LOCAL_FILE} in ${root}, so nothing is changed; add it to .git/info/exclude`);
}

function say({ terminal }: RunnerContext, suite: string, root: string, by: string | undefined, isUndo: boolean): void {
  const undo = `npm run --prefix ${shellQuote(suite)} adopt -- --undo ${shellQuote(root)}`;
  if (isUndo) terminal.say(`${root}: ${by === undefined ? 'was not adopted' : 'not adopted any more'}`);
  else terminal.say(`${root}: mise run starts the tasks of ${suite}; to undo: ${undo}`);
  if (!isUndo && ![undefined, suite].includes(by)) terminal.warn(`${root} was adopted by ${by}, and is not any more`);
}

/** Prints who has adopted, and what has changed in upstream's tasks. */
function check({ terminal }: RunnerContext, config: AdoptConfig, declared: string, roots: readonly string[]): number {
  const { suite, tasksFile } = config;
  const recorded = JSON.parse(contentOf(join(suite, 'pins/upstream-tasks.json')).toString()) as Facts;
  const own = globSync('tasks/**/*.ts', { cwd: suite });
  const isOld = textIn(tasksFile) !== tasksFileText(declared, suite);
  const results = roots.flatMap((root) => {
    const by = adoptedBy(textAt(join(root, LOCAL_FILE)));
    const isGone = by !== undefined && !existsSync(tasksFile.replace(suite, () => by));
    const problem = isGone ? 'are gone' : by === suite && isOld ? 'have changed since' : undefined;
    const state = problem === undefined ? '' : `, whose tasks ${problem}: adopt again`;
    terminal.result(`${root}: ${by === undefined ? 'not adopted' : `adopted by ${by}${state}`}`);
    const differences = compareUpstream(recorded, readUpstream(root), declaredTasks(declared), own);
    if (differences.length === 0) terminal.result("OpenShell's own tasks are as they were when these were written");
    for (const [what, ours] of differences) terminal.result(`${what}; ours: ${ours.join(', ') || 'none'}`);
    return differences;
  });
  return results.some(([, ours]) => ours.length > 0) ? 1 : 0;
}
