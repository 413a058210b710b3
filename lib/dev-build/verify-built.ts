// SPDX-License-Identifier: Apache-2.0

/** What cargo has built for a launch: found by cargo's own messages, and verified. */

import type { CargoReport } from '../cargo/metadata.ts';
import type { Change } from '../fs/atomic-write.ts';
import type { Arch } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import { executableFor, putInPlace, verifyArtifact } from '../stage/verify-built.ts';
import type { DevBuildConfig } from './plan.ts';

/** What the runs built. */
export interface DevBuild extends Pick<CargoReport, 'compiled' | 'total'> {
  /** Cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
}

/** A supervisor, which runs inside any image: for the machine, complete and static. */
export interface BuiltSupervisor {
  /** Another build may replace the file at any time: take it with `installSupervisor`. */
  readonly path: string;
  readonly arch: Arch | undefined;
}

/**
 * Verifies what the gateway's run built, and the supervisor's own run where it has one.
 * @throws TaskError (1) for a binary that does not exist, or that fails verification
 */
export function verifyDevBuild(config: DevBuildConfig, report: CargoReport, cross?: CargoReport): DevBuild {
  const { host, others, supervisor } = config;
  const pathOf = (binary: string) => {
    const path = executableFor(host.arch, binary, report.executablesOf(binary));
    // A Mac's executables are not ELF files.
    if (host.platform === 'linux') verifyArtifact({ arch: host.arch, check: 'executable' }, path);
    return path;
  };
  const { binary } = COMPONENTS.supervisor;
  const arch = typeof supervisor === 'object' ? supervisor.arch : host.arch;
  const ofSupervisor = () =>
    verifySupervisor(executableFor(arch, binary, (cross ?? report).executablesOf(binary)), arch);
  return {
    gateway: pathOf(COMPONENTS.gateway.binary),
    supervisor: supervisor === undefined ? undefined : ofSupervisor(),
    others: new Map(others.map((other) => [other.name, pathOf(other.binary)])),
    compiled: report.compiled + (cross?.compiled ?? 0),
    total: report.total + (cross?.total ?? 0),
  };
}

/** @throws TaskError (1) with every reason */
export function verifySupervisor(path: string, arch: Arch | undefined): BuiltSupervisor {
  verifyArtifact({ arch, check: 'static' }, path);
  return { path, arch };
}

/** Puts a supervisor where running sandboxes may have another one. */
export function installSupervisor({ path: source, arch }: BuiltSupervisor, path: string): Change {
  return putInPlace({ arch, check: 'static' }, source, path);
}
