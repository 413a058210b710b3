// SPDX-License-Identifier: Apache-2.0

/** The static supervisor of a launch: looked at as one unchanged file, and put where sandboxes get it from. */

import { hash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { failure } from '../errors.ts';
import { type Change, copyWhole, keepWithMode, sweepTemporary } from '../files.ts';
import type { Arch } from '../platform.ts';
import { digestOf, stampOf } from './digest.ts';
import { verifySupervisor } from './verify.ts';

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
  /** What was verified, for people. */
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
