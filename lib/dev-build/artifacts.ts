// SPDX-License-Identifier: Apache-2.0

/** What cargo has built for a launch: found by cargo's own messages, and verified. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CargoReport } from '../cargo/messages.ts';
import type { Terminal } from '../cli/terminal.ts';
import { inspectExecutable, type Verdict } from '../elf/verify.ts';
import { failure } from '../errors.ts';
import type { Host } from '../host.ts';
import { isExecutable } from '../process/which.ts';
import { COMPONENTS } from '../product.ts';
import type { DevBuildPlan } from './plan.ts';
import { type BuiltSupervisor, inspectSupervisor } from './supervisor.ts';

/** What a run built. */
export interface DevBuild {
  /** The gateway's path: cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
  /** Crates compiled in this run, and all crates of the build. */
  readonly compiled: number;
  readonly total: number;
}

/**
 * Verifies what a run built.
 * @throws TaskError (1) for a binary that is not there, or that fails verification
 */
export async function verifyBuilt(
  terminal: Terminal,
  plan: DevBuildPlan,
  { executablesOf, compiled, total }: CargoReport,
): Promise<DevBuild> {
  const { config } = plan;
  const pathOf = (binary: string) => verifyRunnable(binary, executablesOf(binary), config.host);
  const gateway = pathOf(COMPONENTS.gateway.binary);
  const supervisor = COMPONENTS.supervisor.binary;
  if (!isShared(plan, gateway)) {
    terminal.warn('this cargo is older than 1.91: it shares nothing with other builds and compiles everything twice');
  }
  return {
    gateway,
    supervisor: config.withSupervisor
      ? await inspectSupervisor(onlyOf(executablesOf(supervisor)) ?? pathOf(supervisor), config.host.arch)
      : undefined,
    others: new Map(config.others.map((other) => [other.name, pathOf(other.binary)])),
    compiled,
    total,
  };
}

/** The path where there is one; of several targets the one for this machine has to be found. */
function onlyOf(paths: readonly string[]): string | undefined {
  return paths.length === 1 ? paths[0] : undefined;
}

/** A cargo that does not know `build.build-dir` leaves the dependencies with the binaries. */
function isShared(plan: DevBuildPlan, gateway: string): boolean {
  return !plan.command.argv.includes('--config') || !existsSync(join(dirname(gateway), 'deps'));
}

/**
 * The first of cargo's executables that this machine can run: several targets give several.
 * @throws TaskError (1) with every reason, or where cargo built none
 */
export function verifyRunnable(binary: string, paths: readonly string[], host: Host): string {
  const [first] = paths;
  if (first === undefined) throw failure(`cargo has built no executable of ${binary}; check its build.target`);
  // A Mac's executables are not ELF files.
  if (host.platform !== 'linux') return verifyIsProgram(paths, first);
  const verdicts = paths.map((path) => inspectExecutable(path, { machine: host.arch }));
  const index = verdicts.findIndex(({ ok }) => ok);
  if (index >= 0) return paths[index] ?? first;
  throw failure(`this machine cannot run the ${binary} that was built: ${reasonsOf(verdicts)}`);
}

function verifyIsProgram(paths: readonly string[], first: string): string {
  const found = paths.find((path) => isExecutable(path));
  if (found !== undefined) return found;
  throw failure(`${first} is not an executable program, although cargo has just built it; try again`);
}

function reasonsOf(verdicts: readonly Verdict[]): string {
  return verdicts.flatMap((verdict) => (verdict.ok ? [] : verdict.reasons)).join('; ');
}
