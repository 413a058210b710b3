// SPDX-License-Identifier: Apache-2.0

/** The shape of a driver record: what the four launchers have in common, and where they differ. */
/** The compute drivers and the words that name them. */

import type { LaunchFeatures } from '../../cargo/features.ts';
import type { Environment } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import type { LaunchBinary } from '../../dev-build/config.ts';
import type { BuiltSupervisor } from '../../dev-build/supervisor.ts';
import type { Engine } from '../../engine/types.ts';
import { shown, usageError } from '../../errors.ts';
import type { DriverDefaults, Settings, SettingsSource } from '../config.ts';
import type { DriverTable } from '../config-file.ts';

/** What earlier steps of a launch have made, for later ones. */
export interface Made {
  /** The path of the gateway. */
  gateway?: string;
  /** The static supervisor, where it was built with the gateway. */
  supervisor?: BuiltSupervisor | undefined;
  /** Paths of what else was built with it, by name. */
  others?: Readonly<Record<string, string>>;
}

/** A step of a launch: a dry run prints its lines, a run executes it. */
export interface Step {
  /** A word, for headings, times and dry runs. */
  readonly name: string;
  /** What it does, for users. */
  readonly title: string;
  readonly lines: readonly string[];
  run(made: Made): Promise<void>;
}

/** What a driver adds to a launch, decided: nothing but questions has been started. */
export interface Preparation {
  /** Before the gateway is built. */
  readonly before: readonly Step[];
  /** What the gateway's cargo run builds besides the gateway. */
  readonly build: {
    readonly withSupervisor: boolean;
    readonly others: readonly LaunchBinary[];
    readonly env: Environment;
  };
  /** Behind the build, before the configuration is written. */
  readonly after: readonly Step[];
  /** The driver's table in the configuration, once every step has run. */
  table(made: Made): DriverTable;
  /** Lines of the banner: a word and its meaning. */
  readonly banner: readonly (readonly [word: string, meaning: string])[];
}

/** A driver whose own settings are resolved. */
export interface OpenedDriver {
  /** `default_image` of the gateway's table; `undefined` where the driver keeps it in its own. */
  readonly defaultImage: string | undefined;
  /** The binaries of its launches besides the gateway, in whichever cargo run they are built. */
  readonly binaries: readonly LaunchBinary[];
  /** Changes to the gateway's environment. */
  readonly gatewayEnv: Environment;
  /** More fields of the registry's entry. */
  readonly metadata: { readonly vm_driver_state_dir?: string };
  /**
   * Asks what the launch depends on, and decides.
   *
   * @param features the extra features of each binary
   * @throws usageError for what is missing
   */
  prepare(ctx: TaskContext, features: LaunchFeatures): Promise<Preparation>;
}

export interface DriverRecord extends DriverDefaults {
  /** For users. */
  readonly title: string;
  /**
   * Resolves its own settings; whatever is wrong becomes one of the problems.
   *
   * @param engine the engine that has answered already, where the launcher was chosen by it
   */
  open(source: SettingsSource, settings: Settings, engine: Engine | undefined): OpenedDriver;
}

/** Loopback, for everybody. */
export function loopback(): { readonly address: string; readonly host: string } {
  return { address: '127.0.0.1', host: '127.0.0.1' };
}

export const DRIVER_NAMES = ['docker', 'podman', 'vm', 'kubernetes'] as const;

export type DriverName = (typeof DRIVER_NAMES)[number];

const WORDS: Readonly<Record<string, DriverName>> = {
  docker: 'docker',
  podman: 'podman',
  vm: 'vm',
  microvm: 'vm',
  kubernetes: 'kubernetes',
  k8s: 'kubernetes',
};

/**
 * The driver that a word means, in any case.
 *
 * @param source the flag or variable that the word comes from
 * @throws usageError that lists the words
 */
export function driverOf(source: string, word: string): DriverName {
  const lower = word.trim().toLowerCase();
  const name = Object.hasOwn(WORDS, lower) ? WORDS[lower] : undefined;
  if (name !== undefined) return name;
  const several = word.includes(',') ? ': a gateway has one driver' : '';
  throw usageError(
    `${source} is ${shown(word)}${several}; allowed is one of ${Object.keys(WORDS).join(', ')}; change it or leave it out`,
  );
}
