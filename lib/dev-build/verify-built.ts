// SPDX-License-Identifier: Apache-2.0

/** What cargo has built for a launch: found by cargo's own messages, verified, and taken to where it is used. */

import { statSync, utimesSync } from 'node:fs';
import type { CargoReport } from '../cargo/metadata.ts';
import { inspectExecutable, inspectStatic } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import { type Change, copyWhole, isFile, keepWithMode, sweepTemporary } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import type { Arch, Host } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import type { DevBuildConfig } from './plan.ts';

/** What the runs built. */
export interface DevBuild extends Pick<CargoReport, 'compiled' | 'total'> {
  /** Cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
}

/**
 * Verifies what the gateway's run built, and the supervisor's own run where it has one.
 * @throws TaskError (1) for a binary that does not exist, or that fails verification
 */
export function verifyDevBuild(config: DevBuildConfig, report: CargoReport, cross?: CargoReport): DevBuild {
  const { host, others, supervisor } = config;
  const pathOf = (binary: string) => runnableOf(binary, report.executablesOf(binary), host);
  const gateway = pathOf(COMPONENTS.gateway.binary);
  const ofSupervisor = () => {
    const { binary } = COMPONENTS.supervisor;
    const paths = (cross ?? report).executablesOf(binary);
    const [only] = paths;
    const path = only !== undefined && paths.length === 1 ? only : runnableOf(binary, paths, host);
    return verifySupervisor(path, typeof supervisor === 'object' ? supervisor.arch : host.arch);
  };
  return {
    gateway,
    supervisor: supervisor === undefined ? undefined : ofSupervisor(),
    others: new Map(others.map((other) => [other.name, pathOf(other.binary)])),
    compiled: report.compiled + (cross?.compiled ?? 0),
    total: report.total + (cross?.total ?? 0),
  };
}

/** The first of cargo's executables that this machine can run: several targets give several. */
function runnableOf(binary: string, paths: readonly string[], host: Host): string {
  const [first] = paths;
  if (first === undefined) throw failure(`cargo has built no executable of ${binary}; check its build.target`);
  // A Mac's executables are not ELF files.
  if (host.platform !== 'linux') return first;
  const reasons: string[] = [];
  for (const path of paths) {
    const verdict = inspectExecutable(path, { machine: host.arch });
    if (verdict.ok) return path;
    reasons.push(...verdict.reasons);
  }
  throw failure(`this machine cannot run the ${binary} that was built: ${reasons.join('; ')}`);
}

const MODE = 0o755;

export interface BuiltSupervisor {
  /** Another build may replace the file at any time: take it with `installSupervisor`. */
  readonly path: string;
  /** Tells this file from others that have the path before or after it, or are copies of them. */
  readonly stamp: string;
}

/**
 * Verifies a supervisor, which runs inside any image: the machine, completeness, no interpreter, no needed libraries.
 * @throws TaskError (1) with every reason
 */
export function verifySupervisor(path: string, arch: Arch | undefined): BuiltSupervisor {
  const verdict = inspectStatic(path, { machine: arch });
  if (verdict.ok) return { path, stamp: stampOf(path) };
  throw failure(
    `the supervisor that was built cannot be used: ${verdict.reasons.join('; ')}; ` +
      'check RUSTFLAGS, or set OPENSHELL_SUPERVISOR_PROFILE=release for the staged one',
  );
}

/**
 * Copies a supervisor whole, so that running sandboxes keep their inode; a copy of the same one is left alone.
 * @throws TaskError (1) where another build has replaced the file since it was verified
 */
export function installSupervisor({ path: source, stamp }: BuiltSupervisor, path: string): Change {
  sweepTemporary(path);
  if (isFile(path) && stampOf(path) === stamp) return keepWithMode(path, MODE);
  const { atime, mtime } = statSync(source);
  const change = copyWhole(source, path, MODE, () => {
    if (stampOf(source) !== stamp) {
      throw failure(`another build has replaced ${source} since it was verified; start again`);
    }
  });
  asOwner(path, () => utimesSync(path, atime, mtime));
  return change;
}

/** A copy gets the time of its source, so it has its stamp, too. */
export function stampOf(path: string): string {
  const { mtime, size } = statSync(path);
  return `${size} ${mtime.toISOString()}`;
}
