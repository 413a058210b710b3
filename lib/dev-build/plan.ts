// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch's build, pure: one cargo run, and the scripts that it compiles through.
 *
 * With the supervisor, the run has a directory of its own for the binaries (`--target-dir`) and shares everything else
 * with the user's builds (`build.build-dir`): the dependencies are compiled once, and the names in the user's own
 * directory, which belong to whoever built last, are neither written nor read. Whether anything is up to date is
 * cargo's to say, and so is where it is.
 */

import { createHash } from 'node:crypto';
import { join, relative } from 'node:path';
import { stringify } from 'smol-toml';
import type { CargoSettings } from '../cargo/config-files.ts';
import { type Features, featuresFor } from '../cargo/features.ts';
import { MESSAGE_FORMAT } from '../cargo/messages.ts';
import type { Toolchain } from '../cargo/toolchain.ts';
import { shown, usageError } from '../errors.ts';
import { type Host, linuxTriple } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import type { Binary } from '../product.ts';
import { binariesOf, type DevBuildConfig } from './config.ts';
import { compilerScripts, type ScriptFile } from './rustc-wrappers.ts';

export interface DevBuildPlan {
  readonly config: DevBuildConfig;
  /** The one cargo run. */
  readonly command: Command;
  /** Empty for a plain build. */
  readonly scripts: readonly ScriptFile[];
  /** The directory of ours that the binaries appear in; `undefined` for a plain build, where that is cargo's own. */
  readonly directory: string | undefined;
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
  const own = config.withSupervisor ? ownDirectories(config, settings, featuresFor(features, binaries)) : undefined;
  const scripts = own === undefined ? { files: [], env: {} } : compilerScripts(own.tasks, settings);
  const target = targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: targetDirectory };
  const options = { cwd: root, base: toolchain.env, env: { ...target, ...config.env, ...scripts.env } };
  const parallel = jobs === undefined ? [] : ['-j', jobs];
  const selected = binaries.flatMap((entry) => ['-p', entry.package, '--bin', entry.binary]);
  const extra = featureArguments(binaries, features);
  const place = own === undefined ? [] : ['--target-dir', own.directory, ...own.sharing];
  return {
    config,
    command: cmd(options)`cargo build ${parallel} ${selected} ${extra} ${place} ${MESSAGE_FORMAT}`,
    scripts: scripts.files,
    directory: own?.directory,
  };
}

/** Each feature for the packages that declare it: a bare name would go to every package of the run. */
function featureArguments(binaries: readonly Binary[], features: Features): string[] {
  const all = binaries.flatMap((entry) =>
    (features.get(entry.name) ?? []).map((name) => (name.includes('/') ? name : `${entry.package}/${name}`)),
  );
  return all.length === 0 ? [] : ['--features', [...new Set(all)].join(' ')];
}

/**
 * Our directories in the target directory. Runs with other features have another one, so that two at once do not
 * collide.
 */
function ownDirectories(config: DevBuildConfig, settings: CargoSettings, features: readonly string[]) {
  const target = config.targetDirectory ?? settings.targetDirectory ?? join(config.root, 'target');
  const tasks = join(target, 'openshell-tasks');
  const key = createHash('sha256').update(features.join(' ')).digest('hex').slice(0, 8);
  const directory = join(tasks, features.length === 0 ? 'launch' : `launch-${key}`);
  return { tasks, directory, sharing: settings.hasBuildDirectory ? [] : sharingArguments(target, config.root) };
}

/**
 * The arguments that put everything but the binaries where the user's builds have it. Cargo takes braces in this path
 * for a template, which a relative path may have none of (relative to the directory that cargo runs in); where both
 * have some, nothing is shared, only built again.
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

/** Whether a target may run here. Only what is plainly for another machine is refused: a target may also be a file. */
function isRunnable(target: string, host: Host): boolean {
  const [, cpu, system] = /^([^-/]+)-[^-/]+-([^-/]+)/.exec(target) ?? [];
  if (cpu === undefined) return true;
  return system === host.platform && host.arch !== undefined && linuxTriple(host.arch, 'gnu').startsWith(`${cpu}-`);
}
