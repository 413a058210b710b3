// SPDX-License-Identifier: Apache-2.0

/** The static supervisor of a launch: looked at as one unchanged file, and put where sandboxes get it from. */
/**
 * The SHA-256 of a big file, kept beside it for the next time: a supervisor of 200 MB takes longer
 * to read than cargo takes to see that nothing has changed.
 */

import { createHash, hash } from 'node:crypto';
import { createReadStream, lstatSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { failure } from '../errors.ts';
import { type Change, copyWhole, keepWithMode, sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import type { Arch } from '../host.ts';
import { verifySupervisor } from './artifacts.ts';

/** Another launch in this checkout may relink the file while it is looked at. */
const LOOKS = 5;
const PAUSE_MS = 200;

export interface BuiltSupervisor {
  /** Cargo's own answer. The next run may replace the file: take it with `installSupervisor`. */
  readonly path: string;
  readonly arch: Arch | undefined;
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
  /** What was verified, for users. */
  readonly verified: string;
  /** The file as it was then. */
  readonly stamp: string;
}

/**
 * Verifies a supervisor and takes its digest, all of the same file.
 *
 * @throws TaskError (1) for one that may not run inside any image, or that keeps being replaced
 */
export async function inspectSupervisor(path: string, arch: Arch | undefined): Promise<BuiltSupervisor> {
  for (let look = 1; look <= LOOKS; look++) {
    const before = stampIfThere(path);
    if (before !== undefined) {
      const found = await lookAt(path, arch, before);
      if (found !== undefined) return found;
    }
    await sleep(PAUSE_MS);
  }
  throw failure(`${path} is replaced again and again by other builds; wait for them, then try again`);
}

/** @returns `undefined` where the file was replaced meanwhile */
async function lookAt(path: string, arch: Arch | undefined, before: string): Promise<BuiltSupervisor | undefined> {
  try {
    const checked = verifySupervisor(path, arch);
    const sha256 = await digestOf(path);
    return stampIfThere(path) === before ? { path, arch, sha256, ...checked, stamp: before } : undefined;
  } catch (error) {
    if (stampIfThere(path) === before) throw error;
    return undefined;
  }
}

function stampIfThere(path: string): string | undefined {
  try {
    return stampOf(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Copies a supervisor whole, so that sandboxes that run keep their inode; one that is there already is left alone.
 *
 * @throws TaskError (1) where another build has replaced the file since it was verified
 */
export async function installSupervisor(supervisor: BuiltSupervisor, path: string, mode = 0o755): Promise<Change> {
  sweepTemporary(path);
  if (isOwnFile(path) && (await digestOf(path)) === supervisor.sha256) {
    // The digest is remembered by ctime, which every chmod moves.
    return keepWithMode(path, mode);
  }
  return copyWhole(supervisor.path, path, mode, (copy) => {
    // A changed stamp may only be another name of the same file; then the content tells.
    if (stampIfThere(supervisor.path) === supervisor.stamp) return;
    if (hash('sha256', readFileSync(copy)) === supervisor.sha256) return;
    throw failure(`another build has replaced ${supervisor.path} since it was verified; start again`);
  });
}

/** A link is not the file: it is replaced. */
function isOwnFile(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** What changes when a file's content does: writing moves `ctime`, which nobody can set back. */
export function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/** The file's SHA-256 in hexadecimal. */
export async function digestOf(path: string): Promise<string> {
  const memo = join(dirname(path), `.${basename(path)}.sha256`);
  const before = stampOf(path);
  const known = knownDigest(memo, before);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  const digest = hash.digest('hex');
  if (stampOf(path) === before) writeWhole(memo, `${digest} ${before}\n`, 0o644);
  return digest;
}

function knownDigest(memo: string, stamp: string): string | undefined {
  try {
    const [, digest, of] = /^([0-9a-f]{64}) (.*)\n$/.exec(readFileSync(memo, 'utf8')) ?? [];
    return of === stamp ? digest : undefined;
  } catch {
    // Not there yet, or not readable: the file itself is read.
    return undefined;
  }
}
