// SPDX-License-Identifier: Apache-2.0

/** What a launch has cargo build: checked values, from which `plan.ts` makes one cargo run. */

import { splitFeatures } from '../cargo/features.ts';
import { type Environment, textOf } from '../cli/env.ts';
import type { Host } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import { resolveTargetDirectory, STAGE_VARIABLES, verifyJobs } from '../stage/config.ts';

/** A binary of the workspace. `COMPONENTS.gateway` and `COMPONENTS.supervisor` are two of them. */
export interface LaunchBinary {
  /** What users call it; unique in a launch. */
  readonly name: string;
  /** The cargo package. */
  readonly package: string;
  /** The binary, in cargo. */
  readonly binary: string;
}

/** Environment variables of a launch's build; the names are the interface of users and CI. */
export const LAUNCH_BUILD_VARIABLES = {
  features: STAGE_VARIABLES.features,
  targetDirectory: STAGE_VARIABLES.targetDirectory,
  jobs: STAGE_VARIABLES.jobs,
} as const;

export interface LaunchBuildConfig {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  /** Release binaries come from staging. */
  readonly profile: 'dev';
  /** Whether the same run makes the static supervisor; without it the run is plainly `cargo build`. */
  readonly withSupervisor: boolean;
  /** More binaries of the same run: the VM driver. */
  readonly others: readonly LaunchBinary[];
  /** `CARGO_BUILD_JOBS`, checked. */
  readonly jobs: string | undefined;
  /** `EXTRA_CARGO_FEATURES`, for the binaries whose packages declare them. */
  readonly features: readonly string[];
  /** `CARGO_TARGET_DIR`, absolute; `undefined` where cargo's configuration decides. */
  readonly targetDirectory: string | undefined;
  /** Variables for cargo on top of the user's own: the embedded VM runtime's directory. */
  readonly env: Environment;
}

/** What the caller decides. */
export interface LaunchBuildOptions {
  readonly withSupervisor: boolean;
  readonly others?: readonly LaunchBinary[];
  readonly env?: Environment;
}

/**
 * Resolves the configuration of a launch's build.
 *
 * @param startDirectory what a relative `CARGO_TARGET_DIR` is relative to
 * @throws usageError for any wrong value
 */
export function resolveLaunchBuildConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
  options: LaunchBuildOptions,
): LaunchBuildConfig {
  verifyJobs(env);
  return {
    root,
    host,
    profile: 'dev',
    withSupervisor: options.withSupervisor,
    others: options.others ?? [],
    jobs: textOf(env, LAUNCH_BUILD_VARIABLES.jobs),
    features: splitFeatures(textOf(env, LAUNCH_BUILD_VARIABLES.features)),
    targetDirectory: resolveTargetDirectory(env, root, startDirectory),
    env: options.env ?? {},
  };
}

/** The binaries of the run, the gateway first. */
export function binariesOf(config: LaunchBuildConfig): readonly LaunchBinary[] {
  return [COMPONENTS.gateway, ...(config.withSupervisor ? [COMPONENTS.supervisor] : []), ...config.others];
}
