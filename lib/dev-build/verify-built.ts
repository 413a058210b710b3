// SPDX-License-Identifier: Apache-2.0

/** What cargo has built for a launch: found by cargo's own messages, and verified. */

import { dirname, join } from 'node:path';
import type { CargoReport } from '../cargo/metadata.ts';
import type { Terminal } from '../cli/terminal.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import { fileIdentity, namesIn } from '../fs/paths.ts';
import type { Host } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import { type BuiltSupervisor, inspectSupervisor } from './install-supervisor.ts';
import type { DevBuildPlan } from './plan.ts';

/** What the runs built. */
export interface DevBuild extends Pick<CargoReport, 'compiled' | 'total'> {
  /** The gateway's path: cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
}

/** What cargo reports of each run; where the supervisor has none of its own, it is in the gateway's. */
export interface DevReports {
  readonly gateway: CargoReport;
  readonly supervisor: CargoReport | undefined;
}

/**
 * Verifies what the runs built.
 * @throws TaskError (1) for a binary that does not exist, or that fails verification
 */
export async function verifyDevBuild(terminal: Terminal, plan: DevBuildPlan, reports: DevReports): Promise<DevBuild> {
  const { command, config, cross } = plan;
  const pathOf = (binary: string) => runnableOf(binary, reports.gateway.executablesOf(binary), config.host);
  const gateway = pathOf(COMPONENTS.gateway.binary);
  const supervisor = supervisorPath(plan, reports);
  // A cargo that does not know `build.build-dir` leaves the dependencies with the binaries.
  const [sharing, program = gateway] = cross === undefined ? [command] : [cross.command, supervisor];
  if (sharing.argv.includes('--config') && isLinkedBeside(program)) {
    terminal.warn('this cargo is older than 1.91: it shares nothing with other builds and compiles everything twice');
  }
  const arch = typeof config.supervisor === 'object' ? config.supervisor.arch : config.host.arch;
  return {
    gateway,
    supervisor: supervisor === undefined ? undefined : await inspectSupervisor(supervisor, arch),
    others: new Map(config.others.map((other) => [other.name, pathOf(other.binary)])),
    compiled: reports.gateway.compiled + (reports.supervisor?.compiled ?? 0),
    total: reports.gateway.total + (reports.supervisor?.total ?? 0),
  };
}

/** Whether the program that cargo has linked is in a directory beside the one that it has put in place. */
function isLinkedBeside(program: string): boolean {
  const directory = join(dirname(program), 'deps');
  return namesIn(directory).some((name) => fileIdentity(join(directory, name)) === fileIdentity(program));
}

/** Cargo's path of the supervisor; `undefined` where none was to be built. */
function supervisorPath({ config }: DevBuildPlan, { gateway, supervisor = gateway }: DevReports): string | undefined {
  if (config.supervisor === undefined) return undefined;
  const { binary } = COMPONENTS.supervisor;
  const paths = supervisor.executablesOf(binary);
  const [only, ...more] = paths;
  return only === undefined || more.length > 0 ? runnableOf(binary, paths, config.host) : only;
}

/**
 * The first of cargo's executables that this machine can run: several targets give several.
 * @throws TaskError (1) with every reason, or where cargo built none
 */
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
