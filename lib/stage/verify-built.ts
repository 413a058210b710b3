// SPDX-License-Identifier: Apache-2.0

/** What cargo has built: the right file for each artifact, verified, and put where image builds find it. */

import type { CargoReport } from '../cargo/metadata.ts';
import { MACHINE_NAMES } from '../elf/headers.ts';
import { type BinaryFacts, inspectExecutable, inspectGlibc, inspectStatic, type Verdict } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import { type Change, copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { fileIdentity } from '../fs/paths.ts';
import { type Artifact, type CargoRun, GLIBC_FLOOR } from './plan.ts';

/** An artifact that was built and verified, with the crates compiled in its cargo run, of all crates in it. */
export interface Built extends Pick<CargoReport, 'compiled' | 'total'> {
  readonly artifact: Artifact;
  readonly source: string;
  /** Which file that was, to tell whether another cargo has replaced it since. */
  readonly identity: string | undefined;
  readonly size: number;
  readonly verified: string;
}

/** An artifact in the place where image builds find it. */
export interface Staged extends Built {
  readonly change: Change;
}

/**
 * Finds the executable of each artifact of a run by its machine, and verifies it.
 * @throws TaskError (1) where cargo built none, or one that is not what it has to be
 */
export function verifyBuilt(run: CargoRun, { executablesOf, compiled, total }: CargoReport): Built[] {
  const found = executablesOf(run.component.binary).map((path) => ({ path, verdict: inspectExecutable(path) }));
  return run.artifacts.map((artifact) => {
    const source = found.find(({ verdict }) => verdict.facts?.machine === MACHINE_NAMES[artifact.arch])?.path;
    if (source !== undefined) {
      const identity = fileIdentity(source);
      return { artifact, source, identity, ...verifyArtifact(artifact, source), compiled, total };
    }
    const built = found.map(({ path, verdict }) =>
      verdict.ok ? `${path} (${verdict.facts.machine})` : verdict.reasons.join('; '),
    );
    throw failure(
      `nothing was put in place: cargo built ${built.join(', ') || 'no executable'}, but ${run.component.binary} for ` +
        `${artifact.triple} has to be an ${MACHINE_NAMES[artifact.arch]} executable; check cargo's configuration and RUSTFLAGS`,
    );
  });
}

/** Copies an artifact to its place. The copy is verified again: another cargo may have run since. @throws TaskError (1) */
export function putInPlace(built: Built): Staged {
  const { artifact, source } = built;
  verifyUnreplaced(built);
  sweepTemporary(artifact.path);
  return { ...built, change: copyWhole(source, artifact.path, 0o755, (copy) => verifyArtifact(artifact, copy)) };
}

/** @throws failure where another cargo run has built to the same place in the meantime */
export function verifyUnreplaced({ identity, source }: Pick<Built, 'identity' | 'source'>): void {
  if (fileIdentity(source) === identity) return;
  throw failure(
    `nothing was put in place: ${source} was replaced by another cargo run since it was built; run this again, or set ` +
      'CARGO_TARGET_DIR to a directory of its own',
  );
}

/**
 * Verifies a file as an artifact: the machine, completeness, and where it is wanted static linking or the glibc floor.
 * @throws TaskError (1) with every reason
 */
export function verifyArtifact(artifact: Artifact, path: string): Pick<Built, 'size' | 'verified'> {
  const option = { machine: artifact.arch };
  const inspect = artifact.check === 'static' ? inspectStatic : inspectExecutable;
  const { size, machine, kind } = accepted(inspect(path, option));
  if (artifact.check !== 'glibc-floor') return { size, verified: `${machine}, complete, ${kind}` };
  const { glibc } = accepted(inspectGlibc(path, { ...option, max: GLIBC_FLOOR }));
  return { size, verified: `${machine}, complete, highest GLIBC symbol: ${glibc}` };
}

function accepted(verdict: Verdict): BinaryFacts {
  if (verdict.ok) return verdict.facts;
  throw failure(`nothing was put in place: ${verdict.reasons.join('; ')}`);
}
