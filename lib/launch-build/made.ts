// SPDX-License-Identifier: Apache-2.0

/** What cargo has made for a launch: found by cargo's own answer, and verified. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CargoReport } from '../cargo-messages.ts';
import { COMPONENTS } from '../product.ts';
import type { Terminal } from '../terminal.ts';
import type { LaunchBuildPlan } from './plan.ts';
import { type BuiltSupervisor, inspectSupervisor } from './supervisor.ts';
import { verifyRunnable } from './verify.ts';

/** What a run made. */
export interface LaunchBuild {
  /** The gateway's path: cargo's own answer, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: Readonly<Record<string, string>>;
  /** Crates compiled in this run, and all crates of the build. */
  readonly compiled: number;
  readonly total: number;
}

/**
 * Verifies what a run made.
 *
 * @throws TaskError (1) for a binary that is not there, or that fails verification
 */
export async function verifyMade(
  terminal: Terminal,
  plan: LaunchBuildPlan,
  { executablesOf, compiled, total }: CargoReport,
): Promise<LaunchBuild> {
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
    others: Object.fromEntries(config.others.map((other) => [other.name, pathOf(other.binary)])),
    compiled,
    total,
  };
}

/** The path where there is one; of several targets the one for this machine has to be found. */
function onlyOf(paths: readonly string[]): string | undefined {
  return paths.length === 1 ? paths[0] : undefined;
}

/** A cargo that does not know `build.build-dir` leaves the dependencies with the binaries. */
function isShared(plan: LaunchBuildPlan, gateway: string): boolean {
  return !plan.command.argv.includes('--config') || !existsSync(join(dirname(gateway), 'deps'));
}
