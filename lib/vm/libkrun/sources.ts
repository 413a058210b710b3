// SPDX-License-Identifier: Apache-2.0

/**
 * The sources: exactly the commit that is asked for, or nothing. A commit that is there already asks nothing of the
 * network; a tag or a branch is fetched anew.
 */

import { createHash } from 'node:crypto';
import { existsSync, globSync, lstatSync, readlinkSync, rmSync, type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Runner, RunnerContext } from '../../build-env.ts';
import { failure, InterruptedError, oneLine, TaskError } from '../../errors.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../../fs/ownership.ts';
import { ancestorsOf, bytesIn, textIn } from '../../fs/paths.ts';
import { type Command, cmd, shellQuote } from '../../process/command.ts';
import type { Source } from './config.ts';
import { markerOf } from './leftovers.ts';

const PROBE_TIMEOUT_MS = 60_000;
/** A commit, or its first digits. */
const COMMIT = /^[0-9a-f]{7,40}$/i;
/** Git's name for a tree without files, in every repository. */
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
/**
 * Files in a repository: the step that a run is at (whoever finds it knows that the run was killed), and the commit that
 * the last run has checked out.
 */
const OWN = { step: 'openshell-unfinished', commit: 'openshell-commit' } as const;

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
  // That of the repositories of libkrun: nothing can be fetched into one of another kind.
  GIT_DEFAULT_HASH: 'sha1',
  // A look at the files leaves no lock.
  GIT_OPTIONAL_LOCKS: '0',
};

/** Git in a source's repository, and never in one around it. */
function gitIn({ directory }: Source) {
  // On Windows' side of a machine users have git change line ends, which no Makefile survives.
  const place = [`--git-dir=${join(directory, '.git')}`, `--work-tree=${directory}`];
  const settings = ['core.autocrlf=false', 'core.fsmonitor=false', 'core.hooksPath=/dev/null'];
  const git = ['git', ...settings.flatMap((setting) => ['-c', setting]), ...place];
  const base = { ...BASE, ...markerOf(dirname(directory)) };
  return (...args: readonly string[]): Command => cmd({ cwd: directory, base, asInvoker: true })`${git} ${args}`;
}

interface SourceCommands {
  readonly init: Command;
  readonly fetch: Command;
  /** For servers that give no commit by its id, and for the first digits of one. */
  readonly fetchAll: Command;
  readonly checkout: (commit: string, isForced?: boolean) => Command;
}

/** The commands that get a source, for a run and for a dry run. */
export function sourceCommands(source: Source, cwd: string): SourceCommands {
  const git = gitIn(source);
  const { directory, ref, url } = source;
  const isShallow = existsSync(join(directory, '.git/shallow'));
  const all = ['+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'];
  const base = { ...BASE, ...markerOf(cwd) };
  return {
    init: cmd({ cwd, base, asInvoker: true })`git init --quiet ${directory}`,
    fetch: git('fetch', '--depth', '1', '--no-tags', url, ref),
    fetchAll: git('fetch', ...(isShallow ? ['--unshallow'] : []), url, ...all),
    checkout: (commit, isForced = false) =>
      git('checkout', '--quiet', ...(isForced ? ['--force'] : []), '--detach', commit),
  };
}

/** What is there before a source is fetched. */
interface Before {
  /** The commit that the files are of; `undefined` where there is none. */
  readonly head: string | undefined;
  /** Whether a checkout was cut off: what is in the way is what that has left. */
  readonly isHalf: boolean;
}

/**
 * Brings a source to the commit that its ref names.
 * @param cwd the build directory, which exists
 * @returns the commit
 * @throws failure where it cannot be fetched, the source has changes of a user, or another commit is there in the end
 */
export async function checkOut(ctx: RunnerContext, source: Source, cwd: string): Promise<string> {
  const { runner, terminal } = ctx;
  const { directory, ref } = source;
  const isThere = existsSync(directory);
  const repository = join(directory, '.git');
  if (isThere && statSync(repository, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw failure(`${directory} is there and is not a git repository of its own; remove it`);
  }
  if (isThere) forgetSettings(repository);
  const step = textIn(join(repository, OWN.step));
  if (step !== undefined) for (const lock of locksIn(repository)) asOwner(repository, () => rmSync(lock));
  const isHalf = step !== undefined && step !== 'fetch';
  const probed = isThere && !isHalf ? await runner.probe(revision(source, 'HEAD'), PROBE_TIMEOUT_MS) : undefined;
  const head = probed?.ok === true ? probed.output : undefined;
  if (head === undefined) return getSource(ctx, source, cwd, { head, isHalf });
  const changes = await changesIn(runner, source);
  if (changes.length > 0) {
    throw failure(
      `${directory} has changes that are not in its commit (${changes.join(', ')}); undo them or remove it`,
    );
  }
  if (!COMMIT.test(ref) || !head.startsWith(ref.toLowerCase())) {
    return getSource(ctx, source, cwd, { head, isHalf });
  }
  terminal.say(`${source.name} is at ${head} already`);
  return head;
}

/** What a repository that was there may name: programs that git would run, and other servers. */
function forgetSettings(repository: string): void {
  writeWhole(join(repository, 'config'), '[core]\n\trepositoryformatversion = 0\n\tbare = false\n', 0o644);
  asOwner(repository, () => rmSync(join(repository, 'info/attributes'), { force: true }));
}

/** Git's locks. One that is killed leaves them, and every later one fails at them, but for those of its housekeeping. */
function locksIn(repository: string): string[] {
  const names = globSync('**/*.lock', { cwd: repository });
  return names.filter((name) => !name.startsWith('objects/')).map((name) => join(repository, name));
}

/** Fetches and checks out: a checkout that is interrupted is done again. */
async function getSource(ctx: RunnerContext, source: Source, cwd: string, before: Before): Promise<string> {
  const { runner } = ctx;
  const { directory, ref } = source;
  const { checkout, init } = sourceCommands(source, cwd);
  const repository = join(directory, '.git');
  const [lock] = locksIn(repository);
  if (lock !== undefined) {
    throw failure(
      `${lock} is there: another git works in ${directory}, or was killed; let it end, or remove that file`,
    );
  }
  const isNew = !existsSync(directory);
  const step = join(repository, OWN.step);
  const endStep = () => asOwner(repository, () => rmSync(step, { force: true }));
  makeDirectory(repository);
  if (!before.isHalf) writeWhole(step, 'fetch', 0o644);
  const fetchNow = () => runner.run(init).then(() => fetchCommit(runner, source, cwd));
  const wanted = await fetchNow().finally(before.isHalf ? undefined : endStep);
  if (!isNew && !before.isHalf) await keepOwn(ctx, source, before.head, wanted);
  writeWhole(step, 'checkout', 0o644);
  await runner.run(checkout(wanted, before.isHalf));
  const found = await runner.read(revision(source, 'HEAD'));
  if (found !== wanted) {
    throw failure(`${directory} is at ${found}, and not at ${wanted} (${ref}); remove it and run this again`);
  }
  const changes = await changesIn(runner, source);
  if (changes.length > 0) {
    throw failure(
      `${directory} is at ${found}, and ${changes.join(', ')} is not as in it; remove it and run this again`,
    );
  }
  writeWhole(join(repository, OWN.commit), found, 0o644);
  endStep();
  return found;
}

/**
 * Keeps what a user has added to a source: files are not overwritten, and of a commit it is said where it is.
 * @throws failure naming the files
 */
async function keepOwn({ runner, terminal }: RunnerContext, source: Source, head: string | undefined, wanted: string) {
  const { directory, name } = source;
  if (head === wanted) return;
  const args = ['diff-tree', '-r', '-z', '--no-renames', '--name-status', head ?? EMPTY_TREE, wanted];
  const changes = changesOf(await runner.read(gitIn(source)(...args)));
  const inTheWay = filesInTheWay(directory, changes.added, changes.removed);
  if (inTheWay.length > 0) {
    throw failure(
      `${directory} has files that ${name} ${source.ref} would overwrite (${inTheWay.join(', ')}); move them away`,
    );
  }
  if (head === undefined || head === textIn(join(directory, '.git', OWN.commit))) return;
  terminal.warn(
    `${directory} is no longer at ${head}, which no build has checked out; to keep that commit: ` +
      `git -C ${shellQuote(directory)} branch NAME ${head}`,
  );
}

/** The paths of `git diff-tree -z --name-status`. */
function changesOf(output: string): { added: string[]; removed: Set<string> } {
  const fields = output.split('\0');
  const paths = (status: string) => fields.filter((_, index) => index % 2 === 1 && fields[index - 1] === status);
  return { added: paths('A'), removed: new Set(paths('D')) };
}

/** What stands where files are added, and is not what is removed for them. */
export function filesInTheWay(directory: string, added: readonly string[], removed: ReadonlySet<string>): string[] {
  const places = added.flatMap((path) => [path, ...ancestorsOf(dirname(`/${path}`)).map((one) => one.slice(1))]);
  const directories = new Set(added.flatMap((path) => ancestorsOf(dirname(`/${path}`)).map((one) => one.slice(1))));
  return [...new Set(places)].filter((path) => {
    const stats = statsOf(join(directory, path));
    if (stats === undefined || removed.has(path)) return false;
    if (!stats.isDirectory()) return true;
    return !directories.has(path) && ![...removed].some((one) => one.startsWith(`${path}/`));
  });
}

function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    // Not there, or below a file, which is looked at as well.
    return undefined;
  }
}

/** @returns the commit that the ref names now */
async function fetchCommit(runner: Runner, source: Source, cwd: string): Promise<string> {
  const { name, ref, url, variable } = source;
  const isCommit = COMMIT.test(ref);
  if (await succeeds(runner.run(sourceCommands(source, cwd).fetch))) {
    const commit = await runner.read(revision(source, 'FETCH_HEAD^{commit}'));
    // A branch may be called like a commit, and be at another one.
    if (!isCommit || commit.startsWith(ref.toLowerCase())) return commit;
  } else if (!isCommit) throw await unfetched(runner, source);
  if (!(await succeeds(runner.run(sourceCommands(source, cwd).fetchAll)))) throw await unfetched(runner, source);
  const found = await runner.probe(revision(source, `${ref}^{commit}`), PROBE_TIMEOUT_MS);
  if (found.ok) return found.output;
  const what = ref.length === 40 ? `no commit ${ref}` : `not exactly one commit that begins with ${ref}`;
  throw failure(`${name} has ${what} (${url}); set ${variable} to one that it has`);
}

async function succeeds(run: Promise<void>): Promise<boolean> {
  try {
    await run;
    return true;
  } catch (error) {
    if (!(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    return false;
  }
}

/** Why git has fetched nothing: the server does not answer, it has no such name, or the repository here is broken. */
async function unfetched(runner: Runner, source: Source): Promise<TaskError> {
  const { directory, name, ref, url, variable } = source;
  const names = [ref, `refs/heads/${ref}`, `refs/tags/${ref}`];
  const listed = await runner.probe(gitIn(source)('ls-remote', url, ...names), PROBE_TIMEOUT_MS);
  if (!listed.ok)
    return failure(`${name} cannot be fetched from ${url} (${oneLine(listed.reason)}); check the network`);
  const found = listed.output.split('\n').map((line) => line.split('\t')[1] ?? '');
  if (COMMIT.test(ref) || names.some((one) => found.includes(one))) {
    return failure(`git cannot fetch ${name} ${ref} into ${directory}, although ${url} answers; remove ${directory}`);
  }
  return failure(`${name} has no tag or branch ${ref} (${url}); set ${variable} to one that it has`);
}

/** The command that tells the commit of a name. */
function revision(source: Source, name: string): Command {
  return gitIn(source)('rev-parse', '--verify', name);
}

/**
 * The files of a source that are not as in its commit. Their content is looked at: git itself goes by what its index
 * says, and that may say of a file that it is not to be looked at.
 */
export async function changesIn(runner: Runner, source: Source, ...paths: readonly string[]): Promise<string[]> {
  const listed = await runner.read(gitIn(source)('ls-tree', '-r', '-z', '--full-tree', 'HEAD', '--', ...paths));
  return listed.split('\0').flatMap((entry) => {
    const [, mode = '', blob, path = ''] = /^(\d+) blob (\w+)\t(.*)$/s.exec(entry) ?? [];
    return path === '' || blobOf(join(source.directory, path), mode === '120000') === blob ? [] : [path];
  });
}

/** Git's name for the content of a file, or of a link; `undefined` for one that is the other, or not there. */
function blobOf(path: string, isLink: boolean): string | undefined {
  if (statsOf(path)?.isSymbolicLink() !== isLink) return undefined;
  const content = isLink ? Buffer.from(readlinkSync(path)) : bytesIn(path);
  return content && createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}
