// SPDX-License-Identifier: Apache-2.0

/** What a binary has to be before a launch uses it. */

import { failure } from '../errors.ts';
import type { Arch, Host } from '../platform.ts';
import { isExecutable } from '../programs.ts';
import { inspectExecutable, inspectStatic, type Verdict } from '../verify-binary.ts';

/**
 * The first of cargo's executables that this machine can run: several targets give several.
 *
 * @throws TaskError (1) with every reason, or where cargo made none
 */
export function verifyRunnable(binary: string, paths: readonly string[], host: Host): string {
  const [first] = paths;
  if (first === undefined) throw failure(`cargo has built no executable of ${binary}; check its build.target`);
  // A Mac's executables are no ELF files.
  if (host.platform !== 'linux') return verifyIsProgram(paths, first);
  const verdicts = paths.map((path) => inspectExecutable(path, machineOf(host.arch)));
  const index = verdicts.findIndex(({ ok }) => ok);
  if (index >= 0) return paths[index] ?? first;
  throw failure(`this machine cannot run the ${binary} that was built: ${reasonsOf(verdicts)}`);
}

function verifyIsProgram(paths: readonly string[], first: string): string {
  const found = paths.find((path) => isExecutable(path));
  if (found !== undefined) return found;
  throw failure(`${first} is not an executable program, although cargo has just built it; try again`);
}

/**
 * Verifies a supervisor, which runs inside any image: the machine, completeness, no interpreter, no needed libraries.
 *
 * @returns its size in bytes, and what was verified, for people
 * @throws TaskError (1) with every reason
 */
export function verifySupervisor(path: string, arch: Arch | undefined): { size: number; verified: string } {
  const verdict = inspectStatic(path, machineOf(arch));
  if (!verdict.ok) {
    throw failure(
      `the supervisor that was built cannot be used: ${reasonsOf([verdict])}; ` +
        'check RUSTFLAGS, or set OPENSHELL_SUPERVISOR_PROFILE=release for the staged one',
    );
  }
  const { machine, kind, size } = verdict.facts;
  return { size, verified: `${machine}, complete, ${kind}` };
}

function machineOf(arch: Arch | undefined) {
  return arch === undefined ? {} : { machine: arch };
}

function reasonsOf(verdicts: readonly Verdict<unknown>[]): string {
  return verdicts.flatMap((verdict) => (verdict.ok ? [] : verdict.reasons)).join('; ');
}
