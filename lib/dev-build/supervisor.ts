// SPDX-License-Identifier: Apache-2.0

/** The static supervisor of a launch: looked at as one unchanged file, and put where sandboxes get it from. */

import { createHash, hash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inspectStatic } from '../elf/verify.ts';
import { errnoOf, failure } from '../errors.ts';
import { type Change, copyWhole, isFile, keepWithMode, sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { textIn } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { poll } from '../process/poll.ts';

/** Another launch in this checkout may relink the file while it is looked at. */
const LOOK_TIMEOUT_MS = 2000;
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
 * @throws TaskError (1) for one that may not run inside any image, or that keeps being replaced
 */
export async function inspectSupervisor(path: string, arch: Arch | undefined): Promise<BuiltSupervisor> {
  const look = () => {
    const before = stampIfThere(path);
    return before === undefined ? undefined : lookAt(path, arch, before);
  };
  const found = await poll(look, { intervalMs: PAUSE_MS, timeoutMs: LOOK_TIMEOUT_MS });
  if (found !== undefined) return found;
  throw failure(`${path} is replaced again and again by other builds; wait for them, then try again`);
}

/**
 * Verifies a supervisor, which runs inside any image: the machine, completeness, no interpreter, no needed libraries.
 * @returns its size in bytes, and what was verified, for users
 * @throws TaskError (1) with every reason
 */
function verifySupervisor(path: string, arch: Arch | undefined): { size: number; verified: string } {
  const verdict = inspectStatic(path, { machine: arch });
  if (!verdict.ok) {
    throw failure(
      `the supervisor that was built cannot be used: ${verdict.reasons.join('; ')}; ` +
        'check RUSTFLAGS, or set OPENSHELL_SUPERVISOR_PROFILE=release for the staged one',
    );
  }
  const { machine, kind, size } = verdict.facts;
  return { size, verified: `${machine}, complete, ${kind}` };
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
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Copies a supervisor whole, so that sandboxes that run keep their inode; one that is there already is left alone.
 * @throws TaskError (1) where another build has replaced the file since it was verified
 */
export async function installSupervisor(supervisor: BuiltSupervisor, path: string, mode = 0o755): Promise<Change> {
  sweepTemporary(path);
  if (isFile(path) && (await digestOf(path)) === supervisor.sha256) {
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

/** What changes when a file's content does: writing moves `ctime`, which nobody can set back. */
export function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/**
 * The SHA-256 of a file in hexadecimal. It is kept beside the file for the next time: a supervisor of 200 MB takes
 * longer to read than cargo takes to see that nothing has changed.
 */
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
  const [, digest, of] = /^([0-9a-f]{64}) (.*)\n$/.exec(textIn(memo) ?? '') ?? [];
  return of === stamp ? digest : undefined;
}
