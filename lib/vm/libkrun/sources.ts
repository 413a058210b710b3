// SPDX-License-Identifier: Apache-2.0

/**
 * The sources: exactly the commit that is asked for, or nothing. A commit that is there already asks nothing of the
 * network; a tag or a branch is fetched anew.
 */

import { existsSync, globSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Runner, RunnerContext } from '../../build-env.ts';
import { failure, InterruptedError, TaskError } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { asOwner } from '../../fs/ownership.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { Source } from './config.ts';

const PROBE_TIMEOUT_MS = 60_000;
/** A commit, or its first digits. */
const COMMIT = /^[0-9a-f]{7,40}$/i;
/** In a repository while it is changed: whoever finds it knows that the run was killed. */
const UNFINISHED = 'openshell-unfinished';
/** What would lead git to another repository, as in a hook, and to a question in the terminal. */
const BASE = {
  ...{ GIT_DIR: undefined, GIT_WORK_TREE: undefined, GIT_INDEX_FILE: undefined, GIT_OBJECT_DIRECTORY: undefined },
  GIT_TERMINAL_PROMPT: '0',
};
/** No Makefile survives line ends as on Windows, and hooks and daemons are for repositories that a user works in. */
const SETTINGS = [
  'core.autocrlf=false',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'advice.detachedHead=false',
];

/** Git in a source's repository, and never in one around it. */
function gitIn({ directory }: Source) {
  const git = ['git', '-C', directory, '--git-dir=.git', ...SETTINGS.flatMap((setting) => ['-c', setting])];
  return (...args: readonly string[]): Command =>
    cmd({ cwd: dirname(directory), base: BASE, asInvoker: true })`${git} ${args}`;
}

function urlOf({ name }: Source): string {
  return `https://github.com/containers/${name}.git`;
}

/** The commands that get a source, for a run and for a dry run. */
export function sourceCommands(source: Source) {
  const git = gitIn(source);
  const all = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
  return {
    init: git('init', '--quiet'),
    fetch: git('fetch', '--depth', '1', '--no-tags', urlOf(source), source.ref),
    /** For servers that give no commit by its id, and for the first digits of one. */
    fetchAll: git('fetch', '--depth', '2147483647', urlOf(source), ...all),
    /** A user's files are not overwritten, and of a commit that nothing else names git says how to keep it. */
    checkout: (commit: string, isForced = false) =>
      git('checkout', ...(isForced ? ['--force'] : ['--no-overwrite-ignore']), '--detach', commit),
  };
}

/**
 * Brings a source to the commit that its ref names.
 * @returns the commit
 * @throws TaskError: git's status, or failure where the source has changes of a user or another commit is there
 */
export async function checkOut({ runner, terminal }: RunnerContext, source: Source): Promise<string> {
  const { directory, name, ref } = source;
  const repository = join(directory, '.git');
  const isThere = existsSync(directory);
  if (isThere && statSync(repository, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw failure(`${directory} is there and is not a git repository of its own; remove it`);
  }
  const unfinished = join(repository, UNFINISHED);
  const isHalf = existsSync(unfinished);
  if (isHalf) removeLocks(repository);
  const probed = isThere && !isHalf ? await runner.probe(revision(source, 'HEAD'), PROBE_TIMEOUT_MS) : undefined;
  if (probed?.ok === true) {
    const changes = await changesIn(runner, source);
    if (changes !== '') {
      throw failure(`${directory} has changes that are not in its commit (${changes}); undo them or remove it`);
    }
    if (COMMIT.test(ref) && probed.output.startsWith(ref.toLowerCase())) {
      terminal.say(`${name} is at ${probed.output} already`);
      return probed.output;
    }
  }
  writeWhole(unfinished, '', 0o644);
  const end = () => asOwner(repository, () => rmSync(unfinished, { force: true }));
  try {
    const commit = await fetchCommit(runner, source);
    await runner.run(sourceCommands(source).checkout(commit, isHalf));
    const found = await runner.read(revision(source, 'HEAD'));
    if (found !== commit) throw failure(`${directory} is at ${found}, and not at ${commit} (${ref}); remove it`);
    end();
    return commit;
  } catch (error) {
    // What is half done stays so; git that fails has done nothing.
    if (!isHalf && !(error instanceof InterruptedError)) end();
    throw error;
  }
}

/** Git that is killed leaves its locks, and every later one fails at them. */
function removeLocks(repository: string): void {
  const locks = globSync('**/*.lock', { cwd: repository });
  asOwner(repository, () => {
    for (const lock of locks) rmSync(join(repository, lock), { force: true });
  });
}

/** @returns the commit that the ref names now */
async function fetchCommit(runner: Runner, source: Source): Promise<string> {
  const { name, ref } = source;
  const { fetch, fetchAll, init } = sourceCommands(source);
  await runner.run(init);
  const isCommit = COMMIT.test(ref);
  if (!isCommit || ref.length === 40) {
    try {
      await runner.run(fetch);
      return await runner.read(revision(source, 'FETCH_HEAD^{commit}'));
    } catch (error) {
      if (!isCommit || !(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    }
  }
  await runner.run(fetchAll);
  const found = await runner.probe(revision(source, `${ref}^{commit}`), PROBE_TIMEOUT_MS);
  if (found.ok) return found.output;
  throw failure(
    `${name} ${ref} is not exactly one commit of ${urlOf(source)}; set ${name.toUpperCase()}_REF to one that it has`,
  );
}

/** The command that tells the commit of a name. */
function revision(source: Source, name: string): Command {
  return gitIn(source)('rev-parse', '--verify', name);
}

/** The files of a source that are not as in its commit, for users; empty where all are. */
export async function changesIn(runner: Runner, source: Source, ...paths: readonly string[]): Promise<string> {
  const output = await runner.read(gitIn(source)('diff', '--name-only', 'HEAD', '--', ...paths));
  return output.split('\n').join(', ');
}
