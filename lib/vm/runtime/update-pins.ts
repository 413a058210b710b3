// SPDX-License-Identifier: Apache-2.0

/** Recording the SHA-256 of every file that a runtime of any platform is made of, and showing what that changes. */

import { basename, dirname, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { failure, TaskError } from '../../errors.ts';
import { type LockedPlace, whileLocked } from '../../fs/lock.ts';
import { partDefect, runtimeNames, VM_PLATFORMS, type VmPlatform } from '../runtime-files.ts';
import { readRuntimeArchive } from './collect.ts';
import { partsOf, type ReleaseFile, type RuntimeConfig, type RuntimeParts } from './config.ts';
import { pinsDifference, readPins, releasePath, writePins } from './pins.ts';
import { sha256Of } from './record.ts';
import type { Releases } from './releases.ts';

/** A file whose digest is recorded, and what it has to look like. */
export interface Part {
  readonly name: keyof RuntimeParts;
  readonly platform: VmPlatform;
  readonly file: ReleaseFile;
}

const PARTS = ['runtime', 'gvproxy', 'umoci'] as const;

/** The files of all platforms, each once. */
export function partsToPin({ source, versions }: RuntimeConfig): Part[] {
  const all = VM_PLATFORMS.flatMap((platform) => {
    const files = partsOf(source, platform, versions);
    return PARTS.map((name) => ({ name, platform, file: files[name] }));
  });
  return [...new Map(all.map((part) => [releasePath(part.file, part.file.names[0]), part])).values()];
}

/**
 * Records what the files of the current versions are. A rolling file is recorded only where its release's API states
 * nothing: the next release would be refused.
 * @returns the difference, as lines
 * @throws failure where not one file could be had
 */
export async function updatePins(ctx: RunnerContext, config: RuntimeConfig, releases: Releases): Promise<string[]> {
  const { pinsPath } = config.release;
  readPins(pinsPath);
  const changes: ((pins: Map<string, string>) => void)[] = [];
  for (const part of partsToPin(config)) {
    const { file } = part;
    const found = await findPin(ctx, releases, part);
    if (found === undefined) {
      ctx.terminal.warn(`${file.what}: the release has no such file; what is recorded of it stays`);
      continue;
    }
    changes.push((pins) => {
      for (const name of file.names) pins.delete(releasePath(file, name));
      if (found !== 'stated') pins.set(releasePath(file, found.name), found.sha256);
    });
  }
  if (changes.length === 0)
    throw failure('no file could be downloaded, so nothing is recorded; check the network and try again');
  return whileLocked(ctx, { ...pinsLock(pinsPath), task: 'digests', other: 'another --update-pins' }, async () => {
    // Another checkout's run may have recorded something since.
    const before = readPins(pinsPath);
    const after = new Map(before);
    for (const change of changes) change(after);
    writePins(pinsPath, after);
    return pinsDifference(before, after);
  });
}

/** The pins are the suite's, and the runs of all checkouts write them. */
export function pinsLock(pinsPath: string): LockedPlace {
  const path = join(dirname(pinsPath), `.${basename(pinsPath)}.lock`);
  return { path, remedy: 'install the tasks where you may write' };
}

/** What to record of a file: its name and digest, `stated` where its API tells, `undefined` where there is no file. */
async function findPin(
  { terminal }: RunnerContext,
  releases: Releases,
  part: Part,
): Promise<{ readonly name: string; readonly sha256: string } | 'stated' | undefined> {
  const { file } = part;
  const statement = file.isRolling ? await releases.statement(file) : undefined;
  if (statement !== undefined && 'sha256' in statement) return 'stated';
  if (statement?.isUnreachable === true) {
    const why = `its release's API cannot be asked (${statement.reason})`;
    terminal.warn(`${file.what}: what comes is recorded as it is, because ${why}; the next release will be refused`);
  }
  for (const name of file.names) {
    const content = await releases.fetchUnverified(file, name);
    if (content === undefined) continue;
    const defect = await defectOf(content, part);
    if (defect === undefined) return { name, sha256: sha256Of(content) };
    throw failure(`${file.what} is not recorded: what came is ${defect}; check what is between here and the server`);
  }
  return undefined;
}

/**
 * Why a file is not what its name says, in a few words. What is recorded is trusted from then on, so an error of the
 * server that calls itself a file, or the beginning of one, must not be.
 */
async function defectOf(content: Buffer, { name, platform }: Part): Promise<string | undefined> {
  if (name !== 'runtime') return partDefect(content, platform, name);
  try {
    const { contents } = await readRuntimeArchive('the archive', content, platform);
    const missing = runtimeNames(platform).filter((one) => one !== 'umoci' && !contents.has(one));
    return missing.length === 0 ? undefined : `an archive without ${missing.join(', ')}`;
  } catch (error) {
    if (error instanceof TaskError) return `no archive of a runtime (${error.message})`;
    throw error;
  }
}
