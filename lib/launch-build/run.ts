// SPDX-License-Identifier: Apache-2.0

/** Building for a launch: asks what the plan needs to know, carries it out, and verifies what cargo made. */

import type { Workbench } from '../task.ts';
import type { Toolchain } from '../toolchain.ts';
import type { LaunchBuildConfig } from './config.ts';
import type { LaunchBuildPlan } from './plan.ts';

/** The static supervisor that a run made. */
export interface BuiltSupervisor {
  /** Cargo's own answer; the next run may replace the file, so take it with `installSupervisor`. */
  readonly path: string;
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
  /** What was verified, for people. */
  readonly verified: string;
}

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
 * Asks what the plan depends on (cargo's configuration; the workspace's features only where some are wanted), and plans.
 *
 * @throws usageError for a feature that no binary of this run declares, or a target that this machine cannot run
 */
export type PrepareLaunchBuild = (
  bench: Workbench,
  config: LaunchBuildConfig,
  toolchain: Toolchain,
) => Promise<LaunchBuildPlan>;

/**
 * Why no static supervisor can be built here; `undefined` where one can. The caller then takes the staged one, and
 * says the reason, which ends with how to get the quick way.
 */
export type StaticLack = (
  bench: Workbench,
  config: LaunchBuildConfig,
  toolchain: Toolchain,
) => Promise<string | undefined>;

/**
 * Runs cargo once and verifies what it made.
 *
 * @throws TaskError: cargo's own status, or 1 for a binary that fails verification
 */
export type BuildForLaunch = (bench: Workbench, plan: LaunchBuildPlan) => Promise<LaunchBuild>;

/** Copies the supervisor whole to where a sandbox mounts it from; a running one keeps its inode. */
export type InstallSupervisor = (supervisor: BuiltSupervisor, path: string) => 'written' | 'unchanged';
