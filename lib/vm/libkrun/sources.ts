// SPDX-License-Identifier: Apache-2.0

/**
 * The sources: exactly the commit that is asked for, or nothing. A commit that is there already asks nothing of the
 * network; a tag or a branch is fetched anew.
 */

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Runner, RunnerContext } from '../../build-env.ts';
import { describeError, EXIT, failure, InterruptedError } from '../../errors.ts';
import { asOwner } from '../../fs/ownership.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { Source } from './config.ts';

const PROBE_TIMEOUT_MS = 60_000;
const COMMIT = /^[0-9a-f]{40}$/i;
const ABBREVIATED = /^[0-9a-f]{7,39}$/i;

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
  const git = ['git', `--git-dir=${join(directory, '.git')}`, `--work-tree=${directory}`];
  return (...args: readonly string[]): Command => cmd({ cwd: directory, base: BASE, asInvoker: true })`${git} ${args}`;
}

/** The commands that get a source, for a run and for a dry run. */
export function sourceCommands(source: Source, cwd: string): { init: Command; fetch: Command; checkout: Command } {
  const git = gitIn(source);
  return {
    init: cmd({ cwd, base: BASE, asInvoker: true })`git init --quiet ${source.directory}`,
    fetch: git('fetch', '--depth', '1', '--no-tags', source.url, source.ref),
    checkout: git('checkout', '--quiet', '--detach', 'FETCH_HEAD'),
  };
}

/**
 * Brings a source to the commit that its ref names.
 * @param cwd the build directory, which exists
 * @returns the commit
 * @throws failure where it cannot be fetched, the source has other changes, or another commit is there in the end
 */
export async function checkOut({ runner, terminal }: RunnerContext, source: Source, cwd: string): Promise<string> {
  const { directory, ref } = source;
  const git = gitIn(source);
  const { checkout, fetch, init } = sourceCommands(source, cwd);
  const repository = join(directory, '.git');
  const isThere = existsSync(repository);
  if (!isThere && existsSync(directory)) {
    throw failure(`${directory} is there and is not a git repository; remove it`);
  }
  const commit = COMMIT.test(ref) ? ref.toLowerCase() : undefined;
  if (isThere) for (const lock of LOCKS) asOwner(repository, () => rmSync(join(repository, lock), { force: true }));
  const head = isThere ? await runner.probe(git('rev-parse', '--verify', 'HEAD'), PROBE_TIMEOUT_MS) : undefined;
  if (head?.ok === true) {
    const changes = await changesIn(runner, source);
    if (changes !== '') {
      throw failure(
        `${directory} has changes that are not in its commit (${changes.split('\n').join(', ')}); undo them or remove it`,
      );
    }
  }
  if (head?.ok === true && head.output === commit) {
    terminal.say(`${source.name} is at ${commit} already`);
  } else {
    if (!isThere) await runner.run(init);
    await runner.run(fetch).catch((error: unknown) => Promise.reject(unfetched(source, error)));
    await runner.run(checkout);
  }
  const wanted = commit ?? (await runner.read(git('rev-parse', '--verify', 'FETCH_HEAD^{commit}')));
  const found = await runner.read(git('rev-parse', '--verify', 'HEAD'));
  if (found === wanted) return found;
  throw failure(`${directory} is at ${found}, and not at ${wanted} (${ref}); remove it and run this again`);
}

/** What is in the files of a source, and not in its commit, as `git status` says; empty where nothing is. */
export function changesIn(runner: Runner, source: Source, ...paths: readonly string[]): Promise<string> {
  return runner.read(gitIn(source)('status', '--porcelain', '--untracked-files=no', '--', ...paths));
}

function unfetched({ name, ref, url, variable }: Source, error: unknown): unknown {
  if (error instanceof InterruptedError) return error;
  const hint = ABBREVIATED.test(ref) ? 'give all 40 digits of a commit' : `set ${variable} to another one`;
  return failure(`${name} ${ref} cannot be fetched from ${url}; ${hint}: ${describeError(error)}`, EXIT.failed);
}
