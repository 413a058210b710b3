// SPDX-License-Identifier: Apache-2.0

/** The sources: exactly the commit that is asked for, or nothing. A tag or a branch is fetched anew. */

import { dirname } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure, isFailure } from '../../errors.ts';
import { makeDirectory } from '../../fs/ownership.ts';
import { cmd } from '../../process/command.ts';
import type { Source } from './config.ts';

const PROBE_TIMEOUT_MS = 60_000;
/** No Makefile survives line ends as on Windows, and hooks and daemons are for repositories that a user works in. */
const SETTINGS = [
  'core.autocrlf=false',
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'advice.detachedHead=false',
];

/** The commands that get a source, for a run and for a dry run: git in its repository, and never in one around it. */
export function sourceCommands({ directory, name, ref }: Source) {
  // As a hook, or as a question in the terminal.
  const base = { GIT_WORK_TREE: undefined, GIT_INDEX_FILE: undefined, GIT_TERMINAL_PROMPT: '0' };
  const command = cmd({ cwd: dirname(directory), base, asInvoker: true });
  const git = ['git', '-C', directory, '--git-dir=.git', ...SETTINGS.flatMap((setting) => ['-c', setting])];
  return {
    init: command`${git} init --quiet`,
    fetch: command`${git} fetch --depth 1 --no-tags https://github.com/containers/${name}.git ${ref}`,
    /** A user's files are not overwritten, and of a commit that nothing else names git says how to keep it. */
    checkout: command`${git} checkout --no-overwrite-ignore --detach FETCH_HEAD`,
    changes: command`${git} diff --name-only HEAD`,
    revision: (of: string) => command`${git} rev-parse --verify ${of}`,
  };
}

/** Brings a source to the commit that its ref names, and gives it. @throws TaskError: git's status, or 1 for changes */
export async function checkOut({ runner, terminal }: RunnerContext, source: Source): Promise<string> {
  const { directory, name, ref } = source;
  const { changes, checkout, fetch, init, revision } = sourceCommands(source);
  makeDirectory(directory);
  const head = await runner.probe(revision('HEAD'), PROBE_TIMEOUT_MS);
  if (head.ok) {
    const changed = await runner.read(changes);
    if (changed !== '') {
      const names = changed.split('\n').join(', ');
      throw failure(`${directory} has changes that are not in its commit (${names}); undo them or remove it`);
    }
    if (head.output === ref.toLowerCase()) {
      terminal.say(`${name} is at ${ref} already`);
      return head.output;
    }
  } else await runner.run(init);
  await runner.run(fetch).catch((error) => {
    if (!isFailure(error)) throw error;
    const remedy = `set ${name.toUpperCase()}_REF to a whole commit, a tag or a branch, or try again`;
    throw failure(`${error.message}; ${remedy}`, error.exitCode);
  });
  await runner.run(checkout);
  const commit = await runner.read(revision('FETCH_HEAD^{commit}'));
  const found = await runner.read(revision('HEAD'));
  if (found !== commit) throw failure(`${directory} is at ${found}, and not at ${commit} (${ref}); remove it`);
  return commit;
}
