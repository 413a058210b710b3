// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch's build, pure: one cargo run, and the scripts that it compiles through.
 *
 * With the supervisor, the run has a directory of its own for the binaries (`--target-dir`) and shares everything else
 * with the user's builds (`build.build-dir`): the dependencies are compiled once, and the names in the user's own
 * directory, which belong to whoever built last, are neither written nor read. Whether anything is up to date is
 * cargo's to say, and so is where it is.
 */

import { hash } from 'node:crypto';
import { join, relative } from 'node:path';
import { stringify } from 'smol-toml';
import type { CargoSettings } from '../cargo/config-files.ts';
import { type Features, featuresFor } from '../cargo/features.ts';
import { MESSAGE_FORMAT } from '../cargo/messages.ts';
import type { Toolchain } from '../cargo/toolchain.ts';
import type { Environment } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { type Host, linuxTriple } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import { type Binary, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import { compilerScripts, type ScriptFile } from './rustc-wrappers.ts';

/** What a driver wants built besides the gateway. */
export interface DevBuildWishes {
  /** Whether the same run builds the static supervisor; without it the run is plainly `cargo build`. */
  readonly withSupervisor: boolean;
  /** More binaries of the same run: the VM driver. */
  readonly others: readonly Binary[];
  /** Variables for cargo on top of the user's own: the directory of the embedded VM runtime. */
  readonly env: Environment;
}

export interface DevBuildConfig extends DevBuildWishes, Pick<BuildOptions, 'jobs' | 'targetDirectory'> {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
}

export interface DevBuildPlan {
  readonly config: DevBuildConfig;
  /** The one cargo run. */
  readonly command: Command;
  /** Empty for a plain build. */
  readonly scripts: readonly ScriptFile[];
}

/** The binaries of the run, the gateway first. */
export function binariesOf({ withSupervisor, others }: DevBuildWishes): readonly Binary[] {
  return [COMPONENTS.gateway, ...(withSupervisor ? [COMPONENTS.supervisor] : []), ...others];
}

/**
 * Plans the build of a launch.
 * @param features the extra features of each binary
 * @throws usageError where cargo is set to build for another machine only
 */
export function planDevBuild(config: DevBuildConfig, toolchain: Toolchain, features: Features): DevBuildPlan {
  const { settings } = toolchain;
  const { jobs, root, targetDirectory } = config;
  verifyTargets(settings.targets, config.host);
  const binaries = binariesOf(config);
  const supervised = config.withSupervisor ? planSupervised(config, settings, featuresFor(features, binaries)) : PLAIN;
  const target = targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: targetDirectory };
  const options = { cwd: root, base: toolchain.env, env: { ...target, ...config.env, ...supervised.env } };
  const parallel = jobs === undefined ? [] : ['-j', jobs];
  const selected = binaries.flatMap((entry) => ['-p', entry.package, '--bin', entry.binary]);
  const extra = featureArguments(binaries, features);
  return {
    config,
    command: cmd(options)`cargo build ${parallel} ${selected} ${extra} ${supervised.arguments} ${MESSAGE_FORMAT}`,
    scripts: supervised.files,
  };
}

/** Each feature for the packages that declare it: a bare name would go to every package of the run. */
function featureArguments(binaries: readonly Binary[], features: Features): string[] {
  const all = binaries.flatMap((entry) =>
    (features.get(entry.name) ?? []).map((name) => (name.includes('/') ? name : `${entry.package}/${name}`)),
  );
  return all.length === 0 ? [] : ['--features', [...new Set(all)].join(' ')];
}

const PLAIN = { arguments: [], files: [], env: {} } as const;

/**
 * The scripts, and the directory of our own in the target directory. Runs with other features have another one, so that
 * two at once do not collide.
 */
function planSupervised(config: DevBuildConfig, settings: CargoSettings, features: readonly string[]) {
  const target = config.targetDirectory ?? settings.targetDirectory ?? join(config.root, 'target');
  const tasks = join(target, 'openshell-tasks');
  const key = hash('sha256', features.join(' ')).slice(0, 8);
  const directory = join(tasks, features.length === 0 ? 'launch' : `launch-${key}`);
  const sharing = settings.hasBuildDirectory ? [] : sharingArguments(target, config.root);
  return { arguments: ['--target-dir', directory, ...sharing], ...compilerScripts(tasks, settings) };
}

/**
 * The arguments that put everything but the binaries where the user's builds have it. Cargo takes braces in this path
 * for a template. Where the absolute path has some, the one relative to cargo's directory may do; where both have some,
 * nothing is shared, and everything is built again.
 */
function sharingArguments(target: string, root: string): string[] {
  const text = [target, relative(root, target)].find((path) => !/[{}]/.test(path));
  return text === undefined ? [] : ['--config', `build.${stringify({ 'build-dir': text }).trim()}`];
}

/** A launch runs what it builds. */
function verifyTargets(targets: readonly string[], host: Host): void {
  const [first] = targets;
  if (first === undefined || targets.some((target) => isRunnable(target, host))) return;
  throw usageError(
    `cargo is set to build for ${shown(first)}, which this machine cannot run; ` +
      'unset CARGO_BUILD_TARGET, or change build.target in .cargo/config.toml',
  );
}

/** Only what is plainly for another machine is refused: a target may also be a file. */
function isRunnable(target: string, host: Host): boolean {
  const [, cpu, system] = /^([^-/]+)-[^-/]+-([^-/]+)/.exec(target) ?? [];
  if (cpu === undefined) return true;
  return system === host.platform && host.arch !== undefined && linuxTriple(host.arch, 'gnu').startsWith(`${cpu}-`);
}
