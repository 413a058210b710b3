// SPDX-License-Identifier: Apache-2.0

/** What cargo has built: the right file for each artifact, verified, and put where it is used. */

import { statSync, utimesSync } from 'node:fs';
import type { CargoReport } from '../cargo/metadata.ts';
import { MACHINE_NAMES } from '../elf/headers.ts';
import { type BinaryFacts, inspectExecutable, inspectGlibc, inspectStatic, type Verdict } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import { type Change, copyWhole, isFile, keepWithMode, sweepTemporary } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import type { Arch } from '../host.ts';
import { type Artifact, GLIBC_FLOOR } from './plan.ts';

const MODE = 0o755;

/** What a file has to be; without an architecture it is for any. */
export interface Wanted extends Pick<Artifact, 'check'> {
  readonly arch: Arch | undefined;
}

/** An artifact that was built and verified, with the crates compiled in its cargo run, of all crates in it. */
export interface Built extends ReturnType<typeof verifyArtifact>, Pick<CargoReport, 'compiled' | 'total'> {
  readonly artifact: Artifact;
  readonly source: string;
}

/** The one of cargo's executables for an architecture (several targets give several), else the first. */
export function executableFor(arch: Arch | undefined, binary: string, paths: readonly string[]): string {
  const isFor = (path: string) => inspectExecutable(path).facts?.machine === MACHINE_NAMES[arch ?? 'amd64'];
  const path = paths.length > 1 ? (paths.find(isFor) ?? paths[0]) : paths[0];
  if (path !== undefined) return path;
  throw failure(`cargo has built no executable of ${binary}; check its build.target`);
}

/**
 * Verifies a file: the machine, completeness, and where it is wanted static linking or the glibc floor.
 * @throws TaskError (1) with every reason
 */
export function verifyArtifact({ arch, check }: Wanted, path: string) {
  const option = { machine: arch };
  const { size, machine, kind } = accepted((check === 'static' ? inspectStatic : inspectExecutable)(path, option));
  if (check !== 'glibc-floor') return { size, verified: `${machine}, complete, ${kind}` };
  const { glibc } = accepted(inspectGlibc(path, { ...option, max: GLIBC_FLOOR }));
  return { size, verified: `${machine}, complete, highest GLIBC symbol: ${glibc}` };
}

function accepted(verdict: Verdict): BinaryFacts {
  if (verdict.ok) return verdict.facts;
  throw failure(
    `what was built cannot be used: ${verdict.reasons.join('; ')}; check cargo's configuration and RUSTFLAGS`,
  );
}

/**
 * Copies a binary whole, so that who runs the one before keeps its file; a copy of the same one is left alone. The copy is
 * verified again: another cargo may have run since. @throws TaskError (1)
 */
export function putInPlace(wanted: Wanted, source: string, path: string): Change {
  sweepTemporary(path);
  if (isFile(path) && stampOf(path) === stampOf(source)) return keepWithMode(path, MODE);
  const { atime, mtime } = statSync(source);
  return copyWhole(source, path, MODE, (copy) => {
    verifyArtifact(wanted, copy);
    asOwner(copy, () => utimesSync(copy, atime, mtime));
  });
}

/** Tells a file from others that have the path before or after it; a copy has the time of its source, and its stamp. */
export function stampOf(path: string): string {
  const { mtime, size } = statSync(path);
  return `${size} ${mtime.toISOString()}`;
}
