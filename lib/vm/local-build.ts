// SPDX-License-Identifier: Apache-2.0

/**
 * A local build of the runtime's libraries: where it is, and whether it is this user's. Its record lies in the checkout,
 * so it vouches for the libraries only where a run of this user has written it.
 */

import { basename, dirname, join } from 'node:path';
import type { TaskContext } from '../cli/task.ts';
import { writeWhole } from '../fs/atomic-write.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import type { BuiltLibraries } from './runtime/collect.ts';
import { digestsOf, sha256Of } from './runtime/record.ts';
import { isRemembered, remember } from './runtime/trust.ts';

/** The name of the record: what was built from what. It is there only while the files are complete. */
export const BUILD_RECORD = 'build.json';

/** Where a checkout's libraries are built, whatever cargo's target directory is. */
export function buildDirectory(root: string): string {
  return join(root, 'target/libkrun-build');
}

/**
 * Writes the record of a build, and remembers it.
 * @param libraries the names of the files that are staged
 */
export function writeBuildRecord(
  ctx: Pick<TaskContext, 'env' | 'terminal'>,
  directory: string,
  record: object,
  libraries: readonly string[],
): void {
  const text = `${JSON.stringify({ ...record, sha256: digestsOf(directory, libraries) }, undefined, 2)}\n`;
  writeWhole(join(directory, BUILD_RECORD), text, 0o644);
  remember(ctx, directory, text);
}

/** Whether a build of this user has written both libraries. */
export function isVouchedBuild(
  ctx: Pick<TaskContext, 'env'>,
  { krun, krunfw }: BuiltLibraries,
  contents: ReadonlyMap<string, Buffer>,
): boolean {
  const text = textIn(join(dirname(krun), BUILD_RECORD)) ?? '';
  const recorded = parseTable(text)?.sha256;
  if (!isTable(recorded) || dirname(krun) !== dirname(krunfw) || !isRemembered(ctx, text)) return false;
  const digests = [...contents.values()].map(sha256Of);
  return [krun, krunfw].every((path) => digests.includes(String(recorded[basename(path)])));
}
