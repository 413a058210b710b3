// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch's build, pure: one cargo run, and the scripts that it compiles through.
 *
 * With the supervisor, the run has a directory of its own for the binaries (`--target-dir`) and shares
 * everything else with the user's builds (`build.build-dir`): the dependencies are compiled once,
 * and the names in the user's own directory, which belong to whoever built last, are neither
 * written nor read. Whether anything is up to date is cargo's to say, and so is where it is.
 */

import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { stringify } from 'smol-toml';
import type { CargoSettings } from '../cargo/config-files.ts';
import { MESSAGE_FORMAT } from '../cargo/messages.ts';
import type { Toolchain } from '../cargo/toolchain.ts';
import { shown, usageError } from '../errors.ts';
import { type Host, linuxTriple } from '../host.ts';
import { type Command, command } from '../process/command.ts';
import { binariesOf, type LaunchBinary, type LaunchBuildConfig } from './config.ts';
import { compilerScripts, type ScriptFile } from './rustc-wrappers.ts';

export interface LaunchBuildPlan {
  readonly config: LaunchBuildConfig;
  /** The one cargo run; a dry run prints it through `runner.describe`. */
  readonly command: Command;
  /** Empty for a plain build. */
  readonly scripts: readonly ScriptFile[];
  /** The directory of ours that the binaries appear in; `undefined` for a plain build, where that is cargo's own. */
  readonly directory: string | undefined;
}

/**
 * Plans the build of a launch.
 *
 * @param features the extra features of each binary, by its name
 * @throws usageError where cargo is set to build for another machine only
 */
export function planLaunchBuild(
  config: LaunchBuildConfig,
  toolchain: Toolchain,
  features: ReadonlyMap<string, readonly string[]>,
  settings: CargoSettings,
): LaunchBuildPlan {
  verifyTargets(settings.targets, config.host);
  const own = config.withSupervisor ? ownDirectories(config, settings) : undefined;
  const scripts = own === undefined ? { files: [], env: {} } : compilerScripts(own.tasks, settings);
  const directory = config.targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: config.targetDirectory };
  const binaries = binariesOf(config);
  const words = [
    ...toolchain.prefix,
    'cargo',
    'build',
    ...(config.jobs === undefined ? [] : ['-j', config.jobs]),
    ...binaries.flatMap((entry) => ['-p', entry.package, '--bin', entry.binary]),
    ...featureWords(binaries, features),
    ...(own === undefined ? [] : ['--target-dir', own.directory, ...own.sharing]),
    MESSAGE_FORMAT,
  ];
  return {
    config,
    command: command(words, { cwd: config.root, env: { ...directory, ...config.env, ...scripts.env } }),
    scripts: scripts.files,
    directory: own?.directory,
  };
}

/** Each feature for the packages that declare it: a bare name would go to every package of the run. */
function featureWords(binaries: readonly LaunchBinary[], features: ReadonlyMap<string, readonly string[]>): string[] {
  const all = binaries.flatMap((entry) =>
    (features.get(entry.name) ?? []).map((name) => (name.includes('/') ? name : `${entry.package}/${name}`)),
  );
  return all.length === 0 ? [] : ['--features', [...new Set(all)].join(' ')];
}

/** Our directories in the target directory. Runs with other features have another one, so that two at once do not collide. */
function ownDirectories(config: LaunchBuildConfig, settings: CargoSettings) {
  const target = config.targetDirectory ?? settings.targetDirectory ?? join(config.root, 'target');
  const tasks = join(target, 'openshell-tasks');
  const key = createHash('sha256').update(config.features.join(' ')).digest('hex').slice(0, 8);
  const directory = join(tasks, config.features.length === 0 ? 'launch' : `launch-${key}`);
  return { tasks, directory, sharing: settings.hasBuildDirectory ? [] : sharingWords(target, config.root) };
}

/**
 * The words that put everything but the binaries where the user's builds have it. Cargo takes
 * braces in this path for a template, which a relative path may have none of (relative to the
 * directory that cargo runs in); where both have some, nothing is shared, only built again.
 */
function sharingWords(target: string, root: string): string[] {
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

/** Whether a target may run here. Only what is plainly for another machine is refused: a target may also be a file. */
function isRunnable(target: string, host: Host): boolean {
  const [, cpu, system] = /^([^-/]+)-[^-/]+-([^-/]+)/.exec(target) ?? [];
  if (cpu === undefined) return true;
  return system === host.platform && host.arch !== undefined && linuxTriple(host.arch, 'gnu').startsWith(`${cpu}-`);
}
