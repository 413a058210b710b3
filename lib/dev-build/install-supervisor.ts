// SPDX-License-Identifier: Apache-2.0

/** The static supervisor of a launch: verified as one unchanged file, and put where sandboxes get it from. */

import { createHash, hash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { inspectStatic } from '../elf/verify.ts';
import { failure, named } from '../errors.ts';
import { type Change, copyWhole, isFile, keepWithMode, sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { contentOf, textIn } from '../fs/paths.ts';
import type { Arch } from '../host.ts';
import { poll } from '../process/poll.ts';

/** Another launch in this checkout may relink the file while it is read. */
const INSPECT = { intervalMs: 200, timeoutMs: 2000 } as const;
/** The digest is remembered by ctime, which every chmod moves: a supervisor has this mode everywhere. */
const MODE = 0o755;

export interface BuiltSupervisor {
  /** Cargo's own path. The next run may replace the file: take it with `installSupervisor`. */
  readonly path: string;
  readonly sha256: string;
  /** What was verified, for users. */
  readonly verified: string;
}

/**
 * Verifies a supervisor, which runs inside any image (the machine, completeness, no interpreter, no needed libraries),
 * and takes the digest of the same file.
 * @throws TaskError (1) with every reason, or for a file that keeps being replaced
 */
export async function inspectSupervisor(path: string, arch: Arch | undefined): Promise<BuiltSupervisor> {
  const attempt = async () => {
    const stamp = stampOf(path);
    if (stamp === undefined) return undefined;
    try {
      const verdict = inspectStatic(path, { machine: arch });
      const sha256 = await digestOf(path);
      return stampOf(path) === stamp ? { verdict, sha256 } : undefined;
    } catch (error) {
      if (stampOf(path) === stamp) throw error;
      return undefined;
    }
  };
  const found = await poll(attempt, INSPECT);
  if (found === undefined) {
    throw failure(`${path} is replaced again and again by other builds; wait for them, then try again`);
  }
  const { verdict, sha256 } = found;
  if (!verdict.ok) {
    throw failure(
      `the supervisor that was built cannot be used: ${verdict.reasons.join('; ')}; ` +
        'check RUSTFLAGS, or set OPENSHELL_SUPERVISOR_PROFILE=release for the staged one',
    );
  }
  return { path, sha256, verified: `${verdict.facts.machine}, complete, ${verdict.facts.kind}` };
}

/**
 * Copies a supervisor whole, so that running sandboxes keep their inode; the same one is left alone.
 * @throws TaskError (1) where another build has replaced the file since it was verified
 */
export async function installSupervisor(
  { path: source, sha256 }: Pick<BuiltSupervisor, 'path' | 'sha256'>,
  path: string,
): Promise<Change> {
  sweepTemporary(path);
  if (isFile(path) && (await digestOf(path)) === sha256) return keepWithMode(path, MODE);
  return copyWhole(source, path, MODE, (copy) => {
    if (hash('sha256', contentOf(copy)) === sha256) return;
    throw failure(`another build has replaced ${source} since it was verified; start again`);
  });
}

/**
 * The SHA-256 of a file in hexadecimal. It is kept beside the file for the next time: a supervisor of 200 MB takes
 * longer to read than cargo takes to see that nothing has changed.
 */
export async function digestOf(path: string): Promise<string> {
  const memo = join(dirname(path), `.${basename(path)}.sha256`);
  const stamp = stampOf(path);
  const [, known, knownStamp] = /^([0-9a-f]{64}) (.*)\n$/.exec(textIn(memo) ?? '') ?? [];
  if (known !== undefined && knownStamp === stamp) return known;
  const digest = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) digest.update(chunk);
  } catch (error) {
    throw named(path, error);
  }
  const sha256 = digest.digest('hex');
  if (stampOf(path) === stamp) writeWhole(memo, `${sha256} ${stamp}\n`, 0o644);
  return sha256;
}

/**
 * What changes when a file's content does: writing moves `ctime`, which cannot be set back. `undefined` where the file
 * does not exist.
 */
function stampOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}
