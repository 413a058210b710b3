// SPDX-License-Identifier: Apache-2.0

/** The shape of a driver record: what the four launchers have in common, and where they differ. */

import type { RunnerContext } from '../../build-env.ts';
import type { Environment } from '../../cli/env.ts';
import type { DevBuild } from '../../dev-build/artifacts.ts';
import type { DevBuildWishes } from '../../dev-build/plan.ts';
import type { Engine } from '../../engine/types.ts';
import type { Binary } from '../../product.ts';
import type { KnownTools } from '../../stage/execute.ts';
import type { Config, ConfigSource, DriverDefaults } from '../config.ts';
import type { DriverTable } from '../config-file.ts';

/** A step of a launch: a dry run prints its lines, a run executes it. */
export interface Step<Args extends readonly unknown[] = []> {
  /** One word, for headings, times and dry runs. */
  readonly name: string;
  /** What it does, for users. */
  readonly title: string;
  readonly lines: readonly string[];
  run(...args: Args): Promise<void>;
}

/** A step that takes the finished build. */
export type BuiltStep = Step<[build: DevBuild]>;

/** What a driver adds to a launch, decided: nothing but probes has been started. */
export interface Preparation {
  /** Before the gateway is built. */
  readonly before: readonly Step[];
  /** What the gateway's cargo run builds besides the gateway. */
  readonly wishes: DevBuildWishes;
  /** After the build, before the configuration is written. */
  readonly after: readonly BuiltStep[];
  /** The driver's table in the configuration. */
  table(build: DevBuild): DriverTable;
  /** Lines of the banner: a word and its meaning. */
  readonly banner: readonly (readonly [word: string, meaning: string])[];
}

/** What a driver is given to prepare a launch; where there is no tool chain, it reports what else is wrong. */
export interface PrepareFacts {
  readonly config: Config;
  /** The engine that the launcher was chosen by, where it was. */
  readonly engine: Engine | undefined;
  readonly tools: KnownTools | undefined;
}

/** A driver whose own configuration is resolved. */
export interface OpenedDriver {
  /** `default_image` of the gateway's table; `undefined` where the driver keeps it in its own. */
  readonly defaultImage: string | undefined;
  /** The binaries of its launches besides the gateway, in whichever cargo run they are built. */
  readonly binaries: readonly Binary[];
  /** Changes to the gateway's environment. */
  readonly gatewayEnv: Environment;
  /** More fields of the registry's entry. */
  readonly metadata: { readonly vm_driver_state_dir?: string };
  /**
   * Probes what the launch depends on, and decides.
   * @returns `undefined` without a tool chain
   * @throws usageError for what is missing
   */
  prepare(ctx: RunnerContext, facts: PrepareFacts): Promise<Preparation | undefined>;
}

export interface DriverRecord extends DriverDefaults {
  /** For users. */
  readonly title: string;
  /** Resolves its own configuration; whatever is wrong becomes one of the problems. */
  open(source: ConfigSource, config: Config): OpenedDriver;
}
