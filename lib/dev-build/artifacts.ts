// SPDX-License-Identifier: Apache-2.0

/** What cargo has built for a launch: found by cargo's own messages, and verified. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CargoReport } from '../cargo/messages.ts';
import type { Terminal } from '../cli/terminal.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import type { Host } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import { type BuiltSupervisor, inspectSupervisor } from './install-supervisor.ts';
import type { DevBuildPlan } from './plan.ts';

/** What a run built. */
export interface DevBuild extends Pick<CargoReport, 'compiled' | 'total'> {
  /** The gateway's path: cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
}

/**
 * Verifies what a run built.
 * @throws TaskError (1) for a binary that does not exist, or that fails verification
 */
export async function verifyBuilt(
  terminal: Terminal,
  { command, config }: DevBuildPlan,
  { executablesOf, compiled, total }: CargoReport,
): Promise<DevBuild> {
  const pathOf = (binary: string) => runnableOf(binary, executablesOf(binary), config.host);
  const gateway = pathOf(COMPONENTS.gateway.binary);
  // A cargo that does not know `build.build-dir` leaves the dependencies with the binaries.
  if (command.argv.includes('--config') && existsSync(join(dirname(gateway), 'deps'))) {
    terminal.warn('this cargo is older than 1.91: it shares nothing with other builds and compiles everything twice');
  }
  const supervisorPath = () => {
    const { binary } = COMPONENTS.supervisor;
    const [only, ...more] = executablesOf(binary);
    return only === undefined || more.length > 0 ? pathOf(binary) : only;
  };
  return {
    gateway,
    supervisor: config.withSupervisor ? await inspectSupervisor(supervisorPath(), config.host.arch) : undefined,
    others: new Map(config.others.map((other) => [other.name, pathOf(other.binary)])),
    compiled,
    total,
  };
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
