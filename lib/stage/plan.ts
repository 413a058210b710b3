// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a staging, pure: which cargo runs, with which files before and which artifacts after.
 * A dry run prints it, a run executes it.
 */

import { join } from 'node:path';
import { MESSAGE_FORMAT } from '../cargo/messages.ts';
import { MissingTool, type Toolchain } from '../cargo/toolchain.ts';
import type { Overlay } from '../cargo/version-overlay.ts';
import { type ZigWrapper, zigWrapper } from '../cargo/zig-cc.ts';
import type { Environment } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { type Arch, linuxTriple } from '../host.ts';
import { type Command, command } from '../process/command.ts';
import { type Component, PRODUCT } from '../product.ts';
import { STAGE_VARIABLES, type StageConfig, wrapperDirectory } from './config.ts';

/** The oldest glibc that the gateway runs on (RHEL 8, Debian 10). */
export const GLIBC_FLOOR = { major: 2, minor: 28 } as const;

/** A binary that will be staged. */
export interface Artifact {
  readonly component: Component;
  readonly arch: Arch;
  /** The Rust target, without a glibc version. */
  readonly triple: string;
  /** What is verified before it is staged. */
  readonly check: 'static' | 'glibc-floor' | 'executable';
  /** Where it is staged, absolute. */
  readonly path: string;
}

/**
 * One cargo run: one component for all its architectures. With real zig and 400 crates, two targets from nothing
 * take 69 s so, and 100 s in two runs one after the other (`npm run bench`): crates of both keep the cores busy.
 */
export interface CargoRun {
  readonly component: Component;
  readonly command: Command;
  readonly artifacts: readonly Artifact[];
  readonly wrappers: readonly ZigWrapper[];
}

export interface StagePlan {
  readonly config: StageConfig;
  /** The directory that carries the stamped version; `undefined` to build in the checkout. */
  readonly overlay: Overlay | undefined;
  readonly runs: readonly CargoRun[];
}

/** A staging that is planned: nothing but questions has been started. */
export interface PreparedStage {
  readonly plan: StagePlan;
  readonly toolchain: Toolchain;
  /** Rust targets that are to be installed first. */
  readonly missing: readonly string[];
}

/**
 * Plans a staging.
 *
 * @param features the extra features of each component, by its name
 * @throws usageError where this machine and its tools cannot build what was asked for
 */
export function planStage(
  config: StageConfig,
  toolchain: Toolchain,
  features: ReadonlyMap<Component['name'], readonly string[]>,
  overlay: Overlay | undefined,
): StagePlan {
  const runs = config.components.map((component) =>
    component.name === 'gateway'
      ? planGateway(config, toolchain, component, features.get(component.name) ?? [], overlay)
      : planSupervisor(config, toolchain, component, features.get(component.name) ?? [], overlay),
  );
  return { config, overlay, runs };
}

/** The Rust targets of a plan, each once. */
export function triplesOf(plan: StagePlan): string[] {
  return [...new Set(plan.runs.flatMap((run) => run.artifacts.map((artifact) => artifact.triple)))];
}

/** What a staging will stage, without the tools that it takes. */
export function artifactsOf(config: StageConfig): Artifact[] {
  return config.components.flatMap((component) => {
    if (component.name === 'gateway')
      return config.arches.map((arch) => artifact(config, component, arch, 'gnu', 'glibc-floor'));
    const libc = config.libc === 'musl' ? 'musl' : 'gnu';
    const check = config.libc === 'gnu' ? 'executable' : 'static';
    return config.arches.map((arch) => artifact(config, component, arch, libc, check));
  });
}

/** Always zigbuild, natively too: only zig can link for an older glibc than this machine's. */
function planGateway(
  config: StageConfig,
  toolchain: Toolchain,
  component: Component,
  features: readonly string[],
  overlay: Overlay | undefined,
): CargoRun {
  const { zig } = toolchain;
  const floor = `${GLIBC_FLOOR.major}.${GLIBC_FLOOR.minor}`;
  if (!toolchain.hasZigbuild || zig === undefined) {
    const lack = toolchain.hasZigbuild ? 'zig' : 'cargo-zigbuild';
    throw new MissingTool(
      `the gateway needs ${lack} to link for glibc ${floor}; install it (mise install, or pip install cargo-zigbuild) ` +
        `${lack === 'zig' ? 'or set ZIG to its path' : 'and put it on PATH'}`,
    );
  }
  const artifacts = artifactsOf({ ...config, components: [component] });
  const targets = artifacts.map(({ triple }) => `${triple}.${floor}`);
  const wrappers = artifacts.map(({ arch }, index) =>
    zigWrapper(targets[index] ?? '', targets[index] ?? '', wrapperDirectory(config, arch), zig),
  );
  const env = Object.fromEntries(wrappers.flatMap((wrapper) => wrapper.variables));
  const all = [...new Set([...features, 'bundled-z3'])];
  return {
    component,
    artifacts,
    wrappers,
    command: cargoCommand(config, toolchain, overlay, component, 'zigbuild', targets, all, env),
  };
}

function planSupervisor(
  config: StageConfig,
  toolchain: Toolchain,
  component: Component,
  features: readonly string[],
  overlay: Overlay | undefined,
): CargoRun {
  const isStaticGlibc = config.libc === 'glibc-static';
  const foreign = config.arches.find((arch) => config.host.platform !== 'linux' || arch !== config.host.arch);
  if (foreign !== undefined && isStaticGlibc) {
    throw usageError(
      `${STAGE_VARIABLES.libc}=glibc-static cannot be built for ${foreign} here: zig does not link glibc statically; ` +
        `use musl, or build on Linux ${foreign}`,
    );
  }
  if (foreign !== undefined && !toolchain.hasZigbuild) {
    throw new MissingTool(
      `the supervisor for ${foreign} cannot be built here without cargo-zigbuild and zig; install them ` +
        `(mise install, or pip install cargo-zigbuild), or build on Linux ${foreign}`,
    );
  }
  const artifacts = artifactsOf({ ...config, components: [component] });
  const targets = artifacts.map(({ triple }) => triple);
  const subcommand = toolchain.hasZigbuild && !isStaticGlibc ? 'zigbuild' : 'build';
  const env = isStaticGlibc ? staticGlibcFlags(config) : {};
  return {
    component,
    artifacts,
    wrappers: [],
    command: cargoCommand(config, toolchain, overlay, component, subcommand, targets, features, env),
  };
}

function artifact(
  config: StageConfig,
  component: Component,
  arch: Arch,
  libc: 'musl' | 'gnu',
  check: Artifact['check'],
): Artifact {
  const path = join(config.root, PRODUCT.prebuiltDirectory, arch, component.binary);
  return { component, arch, triple: linuxTriple(arch, libc), check, path };
}

/** The user's flags, and the one that links libc in. The encoded variable would win over the plain one. */
function staticGlibcFlags(config: StageConfig): Environment {
  const { encodedRustflags, rustflags } = config;
  if (encodedRustflags !== undefined) {
    return { CARGO_ENCODED_RUSTFLAGS: `${encodedRustflags}\u001f-C\u001ftarget-feature=+crt-static` };
  }
  return { RUSTFLAGS: `${rustflags === undefined ? '' : `${rustflags} `}-C target-feature=+crt-static` };
}

function cargoCommand(
  config: StageConfig,
  toolchain: Toolchain,
  overlay: Overlay | undefined,
  component: Component,
  subcommand: 'build' | 'zigbuild',
  targets: readonly string[],
  features: readonly string[],
  env: Environment,
): Command {
  const words = [
    ...toolchain.prefix,
    'cargo',
    subcommand,
    '--release',
    ...targets.flatMap((target) => ['--target', target]),
    '-p',
    component.package,
    '--bin',
    component.binary,
    ...(features.length > 0 ? ['--features', features.join(' ')] : []),
    MESSAGE_FORMAT,
  ];
  return command(words, {
    cwd: overlay?.directory ?? config.root,
    env: {
      CARGO_INCREMENTAL: '0',
      // With a stamped version, `git describe` must not win over it.
      ...(overlay === undefined ? {} : { GIT_DIR: '/nonexistent', CARGO_TARGET_DIR: overlay.targetDirectory }),
      ...(overlay === undefined && config.targetDirectory !== undefined
        ? { CARGO_TARGET_DIR: config.targetDirectory }
        : {}),
      ...env,
    },
  });
}
