// SPDX-License-Identifier: Apache-2.0

/** The shape of a driver record: what the four launchers have in common, and where they differ. */

import type { Environment } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/execute.ts';
import type { DevBuildWishes } from '../../dev-build/plan.ts';
import type { Place } from '../../fs/writable-places.ts';
import type { KnownTools } from '../../stage/execute.ts';
import type { Config, DriverDefaults, LaunchContext } from '../config.ts';
import type { DriverTable } from '../gateway-toml.ts';

/** A step of a launch: a dry run prints its lines, a run executes it. */
export interface Step<Args extends readonly unknown[] = [], Result = unknown> {
  /** One word, for headings, times and dry runs. */
  readonly name: string;
  readonly title: string;
  readonly lines: readonly string[];
  /** What it writes, which is checked before anything is built. */
  readonly writes?: readonly Place[];
  run(...args: Args): Promise<Result> | Result;
}

export type BuiltStep = Step<[build: DevBuild]>;

/** What a driver adds to a launch, decided: nothing but probes has been started. */
export interface Preparation {
  readonly before?: readonly Step[];
  readonly wishes?: Partial<DevBuildWishes>;
  /** After the build, before the configuration is written. */
  readonly after?: readonly BuiltStep[];
  /** `default_image` of the gateway's table, where the driver does not keep it in its own. */
  readonly defaultImage?: string;
  table(build: DevBuild): DriverTable;
  readonly gatewayEnv?: Environment;
  readonly metadata?: { readonly vm_driver_state_dir: string };
  /** Lines of the banner: a term and its meaning. */
  readonly banner: readonly (readonly [term: string, meaning: string])[];
}

export interface DriverRecord extends DriverDefaults {
  readonly title: string;
  open(ctx: LaunchContext, config: Config): PrepareDriver;
}

/**
 * Probes what the launch depends on, and decides; `undefined` where something is wrong.
 * @param tools `undefined` without a tool chain: then it only reports what else is wrong
 * @throws usageError for what is missing
 */
export type PrepareDriver = (tools: KnownTools | undefined) => Promise<Preparation | undefined>;
