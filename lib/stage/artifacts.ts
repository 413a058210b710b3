// SPDX-License-Identifier: Apache-2.0

/** What cargo has made: the right file for each artifact, verified, and put where image builds find it. */
/** What a binary has to be before it is staged or bundled. */

import type { CargoReport } from '../cargo/messages.ts';
import { type BinaryFacts, inspectExecutable, inspectGlibc, inspectStatic, type Verdict } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import { copyWhole, sweepTemporary } from '../fs/atomic-write.ts';
import { type Artifact, type CargoRun, GLIBC_FLOOR } from './plan.ts';
import type { Built, Staged } from './report.ts';

const MACHINES = { amd64: 'x86-64', arm64: 'aarch64' } as const;

/**
 * Finds the executable of each artifact of a run by its machine, and verifies it.
 *
 * @throws TaskError (1) where cargo made none, or one that is not what it has to be
 */
export function verifyBuilt(run: CargoRun, { executablesOf, compiled, total }: CargoReport): Built[] {
  const paths = executablesOf(run.component.binary);
  const made = paths.map((path) => ({ path, machine: inspectExecutable(path).facts?.machine }));
  return run.artifacts.map((artifact) => {
    const source = made.find(({ machine }) => machine === MACHINES[artifact.arch])?.path;
    if (source === undefined) throw nothingFor(artifact, made);
    return { artifact, source, ...verifyArtifact(artifact, source), compiled, total };
  });
}

function nothingFor(artifact: Artifact, found: readonly { path: string; machine: string | undefined }[]) {
  const made =
    found.map(({ path, machine }) => `${path} (${machine ?? 'no executable'})`).join(', ') || 'no executable';
  return failure(
    `nothing was put in place: cargo made ${made}, but ${artifact.component.binary} for ${artifact.triple} ` +
      `has to be an ${MACHINES[artifact.arch]} executable; check cargo's configuration and RUSTFLAGS`,
  );
}

/**
 * Copies an artifact to its place. The copy is verified once more: between cargo's end and now another cargo may have run.
 *
 * @throws TaskError (1) when the copy is not what it has to be, or the place cannot be written
 */
export function putInPlace(built: Built): Staged {
  const { artifact, source } = built;
  sweepTemporary(artifact.path);
  return { ...built, change: copyWhole(source, artifact.path, 0o755, (copy) => verifyArtifact(artifact, copy)) };
}

/**
 * Verifies a file as an artifact: the machine, completeness, and where it is asked for static or the glibc floor.
 *
 * @returns its size in bytes, and what was verified, for users
 * @throws TaskError (1) with every reason
 */
export function verifyArtifact(artifact: Artifact, path: string): { size: number; verified: string } {
  const machine = artifact.arch;
  if (artifact.check === 'static') {
    const facts = accepted(inspectStatic(path, { machine }));
    return { size: facts.size, verified: `${facts.machine}, complete, ${facts.kind}` };
  }
  const executable = accepted(inspectExecutable(path, { machine }));
  if (artifact.check === 'executable') {
    return { size: executable.size, verified: `${executable.machine}, complete, ${executable.kind}` };
  }
  const facts = accepted(inspectGlibc(path, { machine, max: GLIBC_FLOOR }));
  return { size: facts.size, verified: `${facts.machine}, complete, highest GLIBC symbol: ${facts.glibc}` };
}

function accepted(verdict: Verdict): BinaryFacts {
  if (verdict.ok) return verdict.facts;
  throw failure(`nothing was put in place: ${verdict.reasons.join('; ')}`);
}
