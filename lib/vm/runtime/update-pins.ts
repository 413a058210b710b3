// SPDX-License-Identifier: Apache-2.0

/** Recording the SHA-256 of every file that a runtime of any platform is made of, and showing what that changes. */

import type { RunnerContext } from '../../build-env.ts';
import { failure } from '../../errors.ts';
import { VM_PLATFORMS } from '../runtime-files.ts';
import { partsOf, type ReleaseFile, type RuntimeConfig } from './config.ts';
import { pinsDifference, readPins, releasePath, writePins } from './pins.ts';
import { sha256Of } from './record.ts';
import type { Releases } from './releases.ts';

/** The files of all platforms, each once. */
export function filesToPin({ source, versions }: RuntimeConfig): ReleaseFile[] {
  const all = VM_PLATFORMS.flatMap((platform) => {
    const { gvproxy, runtime, umoci } = partsOf(source, platform, versions);
    return [runtime, gvproxy, umoci];
  });
  return [...new Map(all.map((file) => [releasePath(file, file.names[0]), file])).values()];
}

/**
 * Records what the files of the current versions are. A rolling file is recorded only where its release's API states
 * nothing: the next release would be refused.
 * @returns the difference, as lines
 * @throws failure where not one file could be had
 */
export async function updatePins(ctx: RunnerContext, config: RuntimeConfig, releases: Releases): Promise<string[]> {
  const { pinsPath } = config.release;
  const before = readPins(pinsPath);
  const after = new Map(before);
  let count = 0;
  for (const file of filesToPin(config)) {
    const found = await findPin(releases, file);
    if (found === undefined) {
      ctx.terminal.warn(`${file.what}: the release has no such file; what is recorded of it stays`);
      continue;
    }
    count++;
    for (const name of file.names) after.delete(releasePath(file, name));
    if (found !== 'stated') after.set(releasePath(file, found.name), found.sha256);
  }
  if (count === 0)
    throw failure('no file could be downloaded, so nothing is recorded; check the network and try again');
  writePins(pinsPath, after);
  return pinsDifference(before, after);
}

/** What to record of a file: its name and digest, `stated` where its API tells, `undefined` where there is no file. */
async function findPin(
  releases: Releases,
  file: ReleaseFile,
): Promise<{ readonly name: string; readonly sha256: string } | 'stated' | undefined> {
  if (file.isRolling && 'sha256' in (await releases.statement(file))) return 'stated';
  for (const name of file.names) {
    const content = await releases.fetchUnverified(file, name);
    if (content !== undefined) return { name, sha256: sha256Of(content) };
  }
  return undefined;
}
