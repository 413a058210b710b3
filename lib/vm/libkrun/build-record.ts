// SPDX-License-Identifier: Apache-2.0

/** One build at a time in a directory, and the record of what was built there. */

import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { writeWhole } from '../../fs/atomic-write.ts';
import { whileLocked } from '../../fs/lock.ts';
import { makeDirectory } from '../../fs/ownership.ts';
import { endLeftovers } from './leftovers.ts';
import { buildLock, OWN_FILES } from './plan.ts';

/**
 * Runs a build, one at a time in a directory, when what a killed one has left there has ended.
 * @throws failure where the directory cannot be created or locked, or something there does not end
 */
export function whileBuilding<T>(ctx: RunnerContext, directory: string, build: () => Promise<T>): Promise<T> {
  makeDirectory(directory);
  const remedy = 'set OPENSHELL_ROOT to a checkout on another file system';
  const other = 'another build of libkrun in this checkout';
  return whileLocked(ctx, { path: buildLock(directory), remedy, task: 'build libkrun', other }, async () => {
    await endLeftovers(ctx.terminal, directory);
    return build();
  });
}

/** Writes the record: which sources were built. */
export function writeBuildRecord(directory: string, record: object): void {
  writeWhole(join(directory, OWN_FILES.record), `${JSON.stringify(record, undefined, 2)}\n`, 0o644);
}
