// SPDX-License-Identifier: Apache-2.0

/** What a binary has to be before it is staged or bundled. */

import { failure } from '../errors.ts';
import { inspectExecutable, inspectGlibc, inspectStatic, type Verdict } from '../verify-binary.ts';
import { type Artefact, GLIBC_FLOOR } from './plan.ts';

/**
 * Verifies a file as an artefact: the machine, completeness, and where it is asked for static or the glibc floor.
 *
 * @returns its size in bytes, and what was verified, for people
 * @throws TaskError (1) with every reason
 */
export function verifyArtefact(artefact: Artefact, path: string): { size: number; verified: string } {
  const machine = artefact.arch;
  if (artefact.check === 'static') {
    const facts = accepted(inspectStatic(path, { machine }));
    return { size: facts.size, verified: `${facts.machine}, complete, ${facts.kind}` };
  }
  const executable = accepted(inspectExecutable(path, { machine }));
  if (artefact.check === 'executable') {
    return { size: executable.size, verified: `${executable.machine}, complete, ${executable.kind}` };
  }
  const facts = accepted(inspectGlibc(path, { machine, max: GLIBC_FLOOR }));
  return { size: facts.size, verified: `${facts.machine}, complete, highest GLIBC symbol: ${facts.highest}` };
}

function accepted<F>(verdict: Verdict<F>): F {
  if (verdict.ok) return verdict.facts;
  throw failure(`nothing was put in place: ${verdict.reasons.join('; ')}`);
}
