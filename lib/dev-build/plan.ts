// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a launch's build, pure. With a supervisor, its cargo runs have a directory of their own for the binaries
 * (`--target-dir`) and share everything else with the user's builds (`build.build-dir`): dependencies are compiled once,
 * and the user's own binaries are neither written nor read. What is up to date is cargo's to say.
 */

import { dirname, join, relative } from 'node:path';
import { stringify } from 'smol-toml';
import { addTargets, type Toolchain } from '../cargo/find-toolchain.ts';
import { type Features, MESSAGE_FORMAT } from '../cargo/metadata.ts';
import { type CargoSettings, targetDirectoryOf } from '../cargo/settings.ts';
import type { Environment } from '../cli/env.ts';
import { type Arch, type Host, linuxTriple } from '../host.ts';
import { cmd } from '../process/command.ts';
import { type Binary, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import { supervisorSubcommand } from '../stage/plan.ts';
import { compilerScripts } from './compiler-scripts.ts';

/** What a driver, or a package, wants built besides the gateway. */
export interface DevBuildWishes {
  readonly isRelease?: boolean;
  /** The static supervisor: in the gateway's own run, or in another one. Without one that is plainly `cargo build`. */
  readonly supervisor: 'with-gateway' | CrossSupervisor | undefined;
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
export const crossTriple = (arch: Arch) => linuxTriple(arch, 'musl');

export interface DevBuildConfig extends DevBuildWishes {
  readonly root: string;
  readonly host: Host;
  readonly build: BuildOptions;
}

export type DevBuildPlan = ReturnType<typeof planDevBuild>;

/** The binaries of the gateway's run, the gateway first. */
export function binariesOf({ supervisor, others }: DevBuildWishes): readonly Binary[] {
  return [COMPONENTS.gateway, ...(supervisor === 'with-gateway' ? [COMPONENTS.supervisor] : []), ...others];
}

/** @returns the runs, with the scripts that they compile through @throws MissingTool without what cross-builds */
export function planDevBuild(config: DevBuildConfig, toolchain: Toolchain, features: Features) {
  const { settings } = toolchain;
  const { supervisor } = config;
  const isJoint = supervisor === 'with-gateway';
  const wrappers = isJoint ? compilerScripts(tasksDirectory(config, settings), settings) : { files: [], env: {} };
  const directory = supervisor === undefined ? [] : directoryArguments(isJoint ? 'launch' : 'cross', config, settings);
  const cargo = cmd(commandOptions(config, toolchain, { ...config.env, ...wrappers.env }));
  const profile = config.isRelease === true ? ['--release'] : [];
  const selected = selectArguments(binariesOf(config), features);
  return {
    config,
    command: cargo`cargo build ${[...profile, ...selected, ...directory, MESSAGE_FORMAT]}`,
    scripts: wrappers.files,
    cross: typeof supervisor === 'object' ? planCross(config, supervisor, toolchain, features) : undefined,
  };
}

/**
 * The dev profile of the supervisor's own run, where the user has not set it. Debug information makes 197 MB of 41 on the
 * real OpenShell, and an edit takes twice as long to build. With the other two, build scripts and procedural macros are
 * those of the gateway's run.
 */
const CROSS_PROFILE = {
  CARGO_PROFILE_DEV_DEBUG: '0',
  CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG: '0',
  CARGO_PROFILE_DEV_BUILD_OVERRIDE_STRIP: 'none',
};

/** The supervisor's own run, and what installs a Rust target for it. */
function planCross(
  config: DevBuildConfig,
  { arch, missing }: CrossSupervisor,
  toolchain: Toolchain,
  features: Features,
) {
  const { settings } = toolchain;
  const profile = Object.entries(CROSS_PROFILE).filter(([name]) => !settings.profileVariables.includes(name));
  const cargo = cmd(commandOptions(config, toolchain, Object.fromEntries(profile)));
  const selected = selectArguments([COMPONENTS.supervisor], features);
  const rest = ['--target', crossTriple(arch), ...selected, ...directoryArguments('cross', config, settings)];
  return {
    addTarget: missing.length > 0 ? addTargets(toolchain, config.root, missing) : undefined,
    command: cargo`cargo ${supervisorSubcommand([arch], config.host, toolchain)} ${rest} ${MESSAGE_FORMAT}`,
  };
}

function commandOptions({ build, root }: DevBuildConfig, toolchain: Toolchain, env: Environment) {
  const target = build.targetDirectory === undefined ? {} : { CARGO_TARGET_DIR: build.targetDirectory };
  return { cwd: root, base: toolchain.env, env: { ...target, ...env } };
}

/** Each feature for the packages that declare it: a bare name would go to every package of the run. */
function selectArguments(binaries: readonly Binary[], features: Features): string[] {
  const own = binaries.flatMap((entry) =>
    (features.get(entry.name) ?? []).map((name) => (name.includes('/') ? name : `${entry.package}/${name}`)),
  );
  return [
    ...binaries.flatMap((entry) => ['-p', entry.package, '--bin', entry.binary]),
    ...(own.length === 0 ? [] : ['--features', [...new Set(own)].join(' ')]),
  ];
}

function tasksDirectory({ build, root }: DevBuildConfig, settings: CargoSettings): string {
  return join(targetDirectoryOf(root, build.targetDirectory, settings), 'openshell-tasks');
}

/** Binaries go into a directory of our own. Cargo takes braces in a path for a template, so that of the rest is relative. */
function directoryArguments(kind: 'launch' | 'cross', config: DevBuildConfig, settings: CargoSettings): string[] {
  const directory = tasksDirectory(config, settings);
  const own = ['--target-dir', join(directory, kind)];
  if (settings.buildDirectory !== undefined) return own;
  const shared = { 'build-dir': relative(config.root, dirname(directory)) };
  return [...own, '--config', `build.${stringify(shared).trim()}`];
}
