// SPDX-License-Identifier: Apache-2.0

/**
 * The record of a build. It lies in the checkout, as do sources and what make and cargo have left; so it vouches for the
 * libraries only where a run of this user has written it, into a directory that a run of this user has created.
 */

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { makeDirectory } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { textIn } from '../../fs/paths.ts';
import type { BuiltLibraries } from '../runtime/collect.ts';
import { digestsOf, sha256Of } from '../runtime/record.ts';
import { isRemembered, remember } from '../runtime/trust.ts';
import { endLeftovers } from './leftovers.ts';
import { buildLock, OWN_FILES } from './plan.ts';

type Context = Pick<TaskContext, 'env' | 'terminal'>;

/**
 * Runs a build, one at a time in a directory, when what a killed one has left there has ended. A new directory is
 * created, and remembered: another one at its path is told from it.
 * @throws failure where the directory cannot be created or locked, or something there does not end
 */
export function whileBuilding<T>(ctx: RunnerContext, directory: string, build: () => Promise<T>): Promise<T> {
  if (!existsSync(directory)) {
    makeDirectory(directory);
    remember(ctx, directory, identityOf(directory));
  }
  const remedy = 'set OPENSHELL_ROOT to a checkout on another file system';
  const other = 'another build of libkrun in this checkout';
  return whileLocked(ctx, { path: buildLock(directory), remedy, task: 'build libkrun', other }, async () => {
    await endLeftovers(ctx.terminal, directory);
    return build();
  });
}

function identityOf(directory: string): string {
  const { birthtimeMs, ino } = statSync(directory);
  return `build directory ${directory} ${ino} ${birthtimeMs}`;
}

/**
 * Writes the record, and remembers it where all of the build is this user's.
 * @param libraries the names of the files that are staged
 */
export function writeBuildRecord(ctx: Context, directory: string, record: object, libraries: readonly string[]): void {
  const text = `${JSON.stringify({ ...record, sha256: digestsOf(directory, libraries) }, undefined, 2)}\n`;
  writeWhole(join(directory, OWN_FILES.record), text, 0o644);
  const isOwn = isRemembered(ctx, identityOf(directory));
  const problem = `${directory} was not created by a build of this user, so nothing vouches for what is built in it`;
  if (isOwn) remember(ctx, directory, text);
  else ctx.terminal.warn(`${problem}; to have that verified, remove it and build again`);
}

/** Whether a build of this user has written both libraries. */
export function isVouchedBuild(
  ctx: Pick<Context, 'env'>,
  { krun, krunfw }: BuiltLibraries,
  contents: ReadonlyMap<string, Buffer>,
): boolean {
  const text = textIn(join(dirname(krun), OWN_FILES.record)) ?? '';
  const recorded = parseTable(text)?.sha256;
  if (!isTable(recorded) || dirname(krun) !== dirname(krunfw) || !isRemembered(ctx, text)) return false;
  const digests = [...contents.values()].map(sha256Of);
  return [krun, krunfw].every((path) => digests.includes(String(recorded[basename(path)])));
}
