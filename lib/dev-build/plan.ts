// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch's build, pure: the cargo run of the gateway, the scripts that it compiles through, and a run of
 * its own for a supervisor that the gateway's cannot build.
 *
 * With a supervisor, the runs have a directory of their own for the binaries (`--target-dir`) and share everything else
 * with the user's builds (`build.build-dir`): the dependencies are compiled once, and the names in the user's own
 * directory, which belong to whoever built last, are neither written nor read. Whether anything is up to date is
 * cargo's to say, and so is where it is.
 */

import { hash } from 'node:crypto';
import { join, relative } from 'node:path';
import { stringify } from 'smol-toml';
import { addTargets, type Toolchain } from '../cargo/find-toolchain.ts';
import { type Features, featuresFor, MESSAGE_FORMAT } from '../cargo/metadata.ts';
import { type CargoSettings, targetDirectoryOf } from '../cargo/settings.ts';
import type { Environment } from '../cli/env.ts';
import { isUnknown } from '../cli/unknowns.ts';
import { shown, usageError } from '../errors.ts';
import { type Arch, type Host, linuxTriple } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import { type Binary, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import { supervisorSubcommand } from '../stage/plan.ts';
import { compilerScripts, type ScriptFile } from './rustc-wrappers.ts';

/** What a driver, or a package, wants built besides the gateway. */
export interface DevBuildWishes {
  /** Whether the gateway's run is in the release profile. */
  readonly isRelease?: boolean;
  /**
   * The static supervisor: in the gateway's own run, or in another one. Without one, the gateway's run is plainly
   * `cargo build`.
   */
  readonly supervisor: 'with-gateway' | CrossSupervisor | undefined;
  /** More binaries of the same run: the VM driver. */
  readonly others: readonly Binary[];
  /** Variables for cargo on top of the user's own: the directory of the embedded VM runtime. */
  readonly env: Environment;
}

/** A supervisor that takes a run of its own: with musl, for this machine or another one. */
export interface CrossSupervisor {
  readonly arch: Arch;
  /** Its Rust target, where that is to be installed first; in a dry run perhaps a mark. */
  readonly missing: readonly string[];
}

/** The Rust target of a supervisor that takes a run of its own. */
export function crossTriple(arch: Arch): string {
  return linuxTriple(arch, 'musl');
}

export interface DevBuildConfig extends DevBuildWishes {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  readonly build: BuildOptions;
}

export interface DevBuildPlan {
  readonly config: DevBuildConfig;
  /** The cargo run of the gateway. */
  readonly command: Command;
  /** Empty for a plain build. */
  readonly scripts: readonly ScriptFile[];
  /** The supervisor's own run, and what installs a Rust target for it; `undefined` where it has none. */
  readonly cross: { readonly addTarget: Command | undefined; readonly command: Command } | undefined;
}

/** The binaries of the gateway's run, the gateway first. */
export function binariesOf({ supervisor, others }: DevBuildWishes): readonly Binary[] {
  return [COMPONENTS.gateway, ...(supervisor === 'with-gateway' ? [COMPONENTS.supervisor] : []), ...others];
}

/**
 * Plans the build of a launch.
 * @param features the extra features of each binary
 * @throws usageError where cargo is set to build for another machine only; MissingTool without what cross-builds
 */
export function planDevBuild(config: DevBuildConfig, toolchain: Toolchain, features: Features): DevBuildPlan {
  const { settings } = toolchain;
  verifyTargets(settings.targets, config.host);
  const binaries = binariesOf(config);
  const { supervisor } = config;
  const isJoint = supervisor === 'with-gateway';
  const wrappers = isJoint ? compilerScripts(tasksDirectory(config, settings), settings) : { files: [], env: {} };
  const place = isJoint ? 'launch' : 'cross';
  const own = featuresFor(features, binaries);
  const directory = supervisor === undefined ? [] : directoryArguments(place, config, settings, own);
  const cargo = cmd(commandOptions(config, toolchain, { ...config.env, ...wrappers.env }));
  const profile = config.isRelease === true ? ['--release'] : [];
  const selected = [...jobArguments(config), ...selectArguments(binaries, features)];
  const rest = [...profile, ...selected, ...directory, MESSAGE_FORMAT];
  return {
    config,
    command: cargo`cargo build ${rest}`,
    scripts: wrappers.files,
    cross: typeof supervisor === 'object' ? planCross(config, supervisor, toolchain, features) : undefined,
  };
}

/**
 * The dev profile of the supervisor's own run, where the user has not set it. Without debug information: on the real
 * OpenShell that makes 197 MB of 41, and an edit takes twice as long to build. The other two are how cargo builds build
 * scripts and procedural macros for the gateway, and with `--target` only where it is told to; so it takes those of the
 * gateway's run.
 */
const CROSS_PROFILE = {
  CARGO_PROFILE_DEV_DEBUG: '0',
  CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG: '0',
  CARGO_PROFILE_DEV_BUILD_OVERRIDE_STRIP: 'none',
};

function planCross(
  config: DevBuildConfig,
  { arch, missing }: CrossSupervisor,
  toolchain: Toolchain,
  features: Features,
): NonNullable<DevBuildPlan['cross']> {
  const { settings } = toolchain;
  const triple = crossTriple(arch);
  const binaries = [COMPONENTS.supervisor];
  const profile = Object.entries(CROSS_PROFILE).filter(([name]) => !settings.profileVariables.includes(name));
  const cargo = cmd(commandOptions(config, toolchain, Object.fromEntries(profile)));
  const directory = directoryArguments('cross', config, settings, featuresFor(features, binaries));
  const rest = [...jobArguments(config), ...selectArguments(binaries, features), ...directory, MESSAGE_FORMAT];
  return {
    addTarget: missing.length > 0 ? addTargets(toolchain, config.root, missing) : undefined,
    command: cargo`cargo ${supervisorSubcommand([arch], config.host, toolchain)} --target ${triple} ${rest}`,
  };
}

function commandOptions({ build, root }: DevBuildConfig, toolchain: Toolchain, env: Environment) {
  const target = build.targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: build.targetDirectory };
  return { cwd: root, base: toolchain.env, env: { ...target, ...env } };
}

function jobArguments({ build: { jobs } }: DevBuildConfig): string[] {
  return jobs === undefined ? [] : ['-j', jobs];
}

function selectArguments(binaries: readonly Binary[], features: Features): string[] {
  const selected = binaries.flatMap((entry) => ['-p', entry.package, '--bin', entry.binary]);
  return [...selected, ...featureArguments(binaries, features)];
}

/** Each feature for the packages that declare it: a bare name would go to every package of the run. */
function featureArguments(binaries: readonly Binary[], features: Features): string[] {
  const all = binaries.flatMap((entry) =>
    (features.get(entry.name) ?? []).map((name) => (name.includes('/') ? name : `${entry.package}/${name}`)),
  );
  return all.length === 0 ? [] : ['--features', [...new Set(all)].join(' ')];
}

function targetOf({ build, root }: DevBuildConfig, settings: CargoSettings): string {
  return targetDirectoryOf(root, build.targetDirectory, settings);
}

/** What is ours in the target directory. */
function tasksDirectory(config: DevBuildConfig, settings: CargoSettings): string {
  return join(targetOf(config, settings), 'openshell-tasks');
}

/**
 * The arguments that put the binaries into a directory of our own. Runs of another kind or with other features have
 * another one, so that two at once do not collide.
 */
function directoryArguments(
  kind: 'launch' | 'cross',
  config: DevBuildConfig,
  settings: CargoSettings,
  features: readonly string[],
): string[] {
  const key = features.find(isUnknown) ?? hash('sha256', features.join(' ')).slice(0, 8);
  const directory = join(tasksDirectory(config, settings), features.length === 0 ? kind : `${kind}-${key}`);
  const sharing = settings.buildDirectory ? [] : sharingArguments(targetOf(config, settings), config.root);
  return ['--target-dir', directory, ...sharing];
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
