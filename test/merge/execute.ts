// SPDX-License-Identifier: Apache-2.0

/** A merge into a checkout's working tree: refused where git could not undo it, planned, written, checked. */

import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse } from 'smol-toml';
import type { RunnerContext } from '../../lib/build-env.ts';
import { isCheckout, SUITE_ROOT } from '../../lib/checkout.ts';
import { failure, shown, usageError } from '../../lib/errors.ts';
import { absolutePath } from '../../lib/fs/paths.ts';
import { cmd, shellQuote } from '../../lib/process/command.ts';
import type { OwnTask } from './mise-entries.ts';
import { type MergePlan, planMerge } from './plan.ts';
import { HOME } from './scripts.ts';

/** What of the suite does not belong into a checkout. */
const LEFT_OUT = /^\.(ci|github)\//;

const GIT_TIMEOUT_MS = 20_000;

/**
 * Merges the suite into a copy of OpenShell.
 *
 * @param copy the checkout, relative to where this was started
 * @throws usageError for what is not a clean checkout of git; failure where git would ignore a file of the suite
 */
export async function merge(ctx: RunnerContext, copy: string, isDryRun: boolean): Promise<void> {
  const root = absolutePath(ctx.startDirectory, copy);
  await verifyCopy(ctx, root);
  const { tasks } = parse(readFileSync(join(SUITE_ROOT, 'mise.toml'), 'utf8')) as unknown as {
    tasks: Record<string, OwnTask>;
  };
  const plan = planMerge(await textsOf(ctx, root), tasks);
  const suite = (await lines(ctx, SUITE_ROOT, 'ls-files')).filter((path) => !LEFT_OUT.test(path));
  ctx.terminal.result(...report(plan, suite.length, isDryRun));
  if (isDryRun) return;
  write(root, plan, suite);
  await verify(ctx, root, suite);
  const git = `git -C ${shellQuote(root)}`;
  ctx.terminal.result(`merged; to look at it: ${git} add --all && ${git} diff --cached -- . ':!tools'`);
}

async function verifyCopy(ctx: RunnerContext, root: string): Promise<void> {
  if (!isCheckout(root))
    throw usageError(`${shown(root)} is not an OpenShell checkout; give the path of a copy of one`);
  const top = await ctx.runner.probe(cmd({ cwd: root })`git rev-parse --show-toplevel`, GIT_TIMEOUT_MS);
  if (!top.ok || realpathSync(top.output) !== realpathSync(root)) {
    throw usageError(`${shown(root)} is not the top of a git clone; copy one with its .git, or clone it`);
  }
  if (existsSync(join(root, HOME))) throw usageError(`${shown(join(root, HOME))} exists; take a copy without it`);
  const { length } = await lines(ctx, root, 'status', '--porcelain');
  if (length === 0) return;
  const what = length === 1 ? '1 change that is not committed' : `${length} changes that are not committed`;
  throw usageError(`${shown(root)} has ${what}, which a merge would mix with its own; commit, or take a clean copy`);
}

/** Every tracked text that names a shell script, and what else is edited. */
async function textsOf(ctx: RunnerContext, root: string): Promise<Map<string, string>> {
  const naming = await lines(ctx, root, 'grep', '--name-only', '-I', '-e', '[.]sh');
  const scripts = (await lines(ctx, root, 'ls-files')).filter((path) =>
    /^((tasks\/)?scripts\/.*\.sh|\.github\/workflows\/.*|tasks\/.*\.toml|\.dockerignore)$/.test(path),
  );
  const paths = [...new Set([...naming, ...scripts])].sort();
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

function write(root: string, plan: MergePlan, suite: readonly string[]): void {
  for (const path of suite) {
    mkdirSync(dirname(join(root, HOME, path)), { recursive: true });
    copyFileSync(join(SUITE_ROOT, path), join(root, HOME, path));
  }
  // A file that is there keeps its mode.
  for (const [path, text] of plan.written) writeFileSync(join(root, path), text);
  for (const path of plan.removed) rmSync(join(root, path));
}

async function verify(ctx: RunnerContext, root: string, suite: readonly string[]): Promise<void> {
  const taken = new Set(await lines(ctx, root, 'ls-files', '--others', '--exclude-standard', '--', HOME));
  const ignored = suite.filter((path) => !taken.has(`${HOME}/${path}`));
  if (ignored.length > 0) {
    const more = ignored.length === 1 ? '' : ` and ${ignored.length - 1} more`;
    throw failure(`git would ignore ${HOME}/${ignored[0]}${more}; except ${HOME} in the checkout's .gitignore`);
  }
}

async function lines(ctx: RunnerContext, cwd: string, ...args: readonly string[]): Promise<string[]> {
  // Paths of a repository may have any character but NUL.
  const output = await ctx.runner.read(cmd({ cwd })`git ${args.slice(0, 1)} ${'-z'} ${args.slice(1)}`);
  return output.split('\0').filter((path) => path !== '');
}

function report({ written, removed, shims, kept }: MergePlan, files: number, isDryRun: boolean): string[] {
  return [
    `${isDryRun ? '# would merge' : 'merging'} ${files} files into ${HOME}`,
    ...[...written.keys()].filter((path) => !shims.has(path)).map((path) => `edited: ${path}`),
    ...[...shims].map(([script, callers]) => `shim: ${script} (called by ${callers.join(', ')})`),
    ...removed.map((script) => `removed: ${script}`),
    ...kept.map((script) => `stays bash: ${script}`),
  ];
}
