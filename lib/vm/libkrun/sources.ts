// SPDX-License-Identifier: Apache-2.0

/**
 * The sources: exactly the commit that is asked for, or nothing. A commit that is there already asks nothing of the
 * network; a tag or a branch is fetched anew.
 */

import { existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Runner, RunnerContext } from '../../build-env.ts';
import { describeError, EXIT, failure, InterruptedError } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { Source } from './config.ts';

const PROBE_TIMEOUT_MS = 60_000;
/** A commit, or its first digits. */
const COMMIT = /^[0-9a-f]{7,40}$/i;
/** In a repository whose files are not all those of one commit. */
const UNFINISHED = 'openshell-unfinished';

/** What would lead git to another repository than the one that is named, and to a question in the terminal. */
const BASE = {
  GIT_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_INDEX_FILE: undefined,
  GIT_OBJECT_DIRECTORY: undefined,
  GIT_ALTERNATE_OBJECT_DIRECTORIES: undefined,
  GIT_COMMON_DIR: undefined,
  GIT_NAMESPACE: undefined,
  GIT_TERMINAL_PROMPT: '0',
};
/** What a git that was killed leaves, and every later one waits for in vain. */
const LOCKS = ['index.lock', 'HEAD.lock', 'shallow.lock', 'FETCH_HEAD.lock'];

/** Git in a source's repository, and never in one around it. */
function gitIn({ directory }: Source) {
  // On Windows' side of a machine users have git change line ends, which no Makefile survives.
  const place = [`--git-dir=${join(directory, '.git')}`, `--work-tree=${directory}`];
  const git = ['git', '-c', 'core.autocrlf=false', ...place];
  return (...args: readonly string[]): Command => cmd({ cwd: directory, base: BASE, asInvoker: true })`${git} ${args}`;
}

interface SourceCommands {
  readonly init: Command;
  readonly fetch: Command;
  /** For servers that give no commit by its id, and for the first digits of one. */
  readonly fetchAll: Command;
  readonly checkout: (commit: string) => Command;
}

/** The commands that get a source, for a run and for a dry run. */
export function sourceCommands(source: Source, cwd: string): SourceCommands {
  const git = gitIn(source);
  const { directory, ref, url } = source;
  const isShallow = existsSync(join(directory, '.git/shallow'));
  const all = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
  return {
    init: cmd({ cwd, base: BASE, asInvoker: true })`git init --quiet ${directory}`,
    fetch: git('fetch', '--depth', '1', '--no-tags', url, ref),
    fetchAll: git('fetch', ...(isShallow ? ['--unshallow'] : []), url, ...all),
    // What is in the way is what an earlier checkout has left: changes of a user have been refused.
    checkout: (commit) => git('checkout', '--quiet', '--force', '--detach', commit),
  };
}

/**
 * Brings a source to the commit that its ref names.
 * @param cwd the build directory, which exists
 * @returns the commit
 * @throws failure where it cannot be fetched, the source has other changes, or another commit is there in the end
 */
export async function checkOut(ctx: RunnerContext, source: Source, cwd: string): Promise<string> {
  const { runner, terminal } = ctx;
  const { directory, ref } = source;
  const repository = join(directory, '.git');
  const isThere = existsSync(repository);
  if (!isThere && existsSync(directory)) {
    throw failure(`${directory} is there and is not a git repository; remove it`);
  }
  if (isThere) for (const lock of LOCKS) asOwner(repository, () => rmSync(join(repository, lock), { force: true }));
  const isComplete = isThere && !existsSync(join(repository, UNFINISHED));
  const head = isComplete ? await runner.probe(revision(source, 'HEAD'), PROBE_TIMEOUT_MS) : undefined;
  if (head?.ok !== true) return getSource(ctx, source, cwd);
  const changes = await changesIn(runner, source);
  if (changes !== '') {
    throw failure(
      `${directory} has changes that are not in its commit (${changes.split('\n').join(', ')}); undo them or remove it`,
    );
  }
  if (!COMMIT.test(ref) || !head.output.startsWith(ref.toLowerCase())) return getSource(ctx, source, cwd);
  terminal.say(`${source.name} is at ${head.output} already`);
  return head.output;
}

/** Fetches and checks out: a checkout that is interrupted is done again. */
async function getSource({ runner }: RunnerContext, source: Source, cwd: string): Promise<string> {
  const { directory, ref } = source;
  const { checkout, init } = sourceCommands(source, cwd);
  await runner.run(init);
  const wanted = await fetchCommit(runner, source, cwd);
  const unfinished = join(directory, '.git', UNFINISHED);
  writeWhole(unfinished, '', 0o644);
  await runner.run(checkout(wanted));
  const found = await runner.read(revision(source, 'HEAD'));
  if (found !== wanted) {
    throw failure(`${directory} is at ${found}, and not at ${wanted} (${ref}); remove it and run this again`);
  }
  asOwner(dirname(unfinished), () => rmSync(unfinished, { force: true }));
  return found;
}

/** @returns the commit that the ref names now */
async function fetchCommit(runner: Runner, source: Source, cwd: string): Promise<string> {
  const { ref } = source;
  const { fetch, fetchAll } = sourceCommands(source, cwd);
  try {
    await runner.run(fetch);
    const commit = await runner.read(revision(source, 'FETCH_HEAD^{commit}'));
    // A branch may be called like a commit, and be at another one.
    if (!COMMIT.test(ref) || commit.startsWith(ref.toLowerCase())) return commit;
  } catch (error) {
    if (!COMMIT.test(ref)) throw unfetched(source, error);
  }
  try {
    await runner.run(fetchAll);
    return await runner.read(revision(source, `${ref}^{commit}`));
  } catch (error) {
    throw unfetched(source, error);
  }
}

/** The command that tells the commit of a name. */
function revision(source: Source, name: string): Command {
  return gitIn(source)('rev-parse', '--verify', name);
}

/** What is in the files of a source, and not in its commit, as `git status` says; empty where nothing is. */
export function changesIn(runner: Runner, source: Source, ...paths: readonly string[]): Promise<string> {
  return runner.read(gitIn(source)('status', '--porcelain', '--untracked-files=no', '--', ...paths));
}

function unfetched({ name, ref, url, variable }: Source, error: unknown): unknown {
  if (error instanceof InterruptedError) return error;
  return failure(
    `${name} ${ref} cannot be fetched from ${url}; check the network, or set ${variable} to another one: ${describeError(error)}`,
    EXIT.failed,
  );
}
