// SPDX-License-Identifier: Apache-2.0

/**
 * The plan of a staging, pure: which cargo runs, with which files before and which artifacts after. A dry run prints
 * it, a run executes it.
 */

import { join } from 'node:path';
import type { Features } from '../cargo/features.ts';
import { MESSAGE_FORMAT } from '../cargo/messages.ts';
import { MissingTool, type Toolchain } from '../cargo/toolchain.ts';
import type { Overlay } from '../cargo/version-overlay.ts';
import { type ZigWrapper, zigWrapper } from '../cargo/zig-cc.ts';
import type { Environment } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { type Arch, linuxTriple } from '../host.ts';
import { type Command, cmd } from '../process/command.ts';
import { type Component, PRODUCT } from '../product.ts';
import type { BuildOptions, StageConfig } from './config.ts';

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
 * One cargo run: one component for all its architectures. With real zig and 400 crates, two targets from nothing take
 * 69 s so, and 100 s in two runs one after the other (`npm run bench`): crates of both keep the cores busy.
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
 * @param features the extra features of each component
 * @throws MissingTool, or usageError where this machine cannot build what was asked for
 */
export function planStage(
  config: StageConfig,
  toolchain: Toolchain,
  features: Features,
  overlay: Overlay | undefined,
): StagePlan {
  const runs = config.components.map((component) => {
    const own = features.get(component.name) ?? [];
    const part = { ...config, components: [component] };
    const run = component.name === 'gateway' ? planGateway(part, toolchain) : planSupervisor(part, toolchain);
    const all = [...new Set([...own, ...run.features])];
    const command = cargoCommand(config, toolchain, overlay, component, { ...run, features: all });
    return { component, command, artifacts: run.artifacts, wrappers: run.wrappers };
  });
  return { config, overlay, runs };
}

/** The Rust targets of a plan, each once. */
export function triplesOf(plan: StagePlan): string[] {
  return [...new Set(plan.runs.flatMap((run) => run.artifacts.map((artifact) => artifact.triple)))];
}

/** What a staging will stage, without the tools that it takes. */
export function artifactsOf(config: StageConfig): Artifact[] {
  const { libc } = config.build;
  return config.components.flatMap((component) => {
    const isGateway = component.name === 'gateway';
    const triple = (arch: Arch) => linuxTriple(arch, isGateway || libc !== 'musl' ? 'gnu' : 'musl');
    const check = isGateway ? 'glibc-floor' : libc === 'gnu' ? 'executable' : 'static';
    return config.arches.map((arch) => ({
      component,
      arch,
      triple: triple(arch),
      check,
      path: join(config.root, PRODUCT.prebuiltDirectory, arch, component.binary),
    }));
  });
}

/** The part of a cargo run that depends on the component. */
interface RunParts extends Pick<CargoRun, 'artifacts' | 'wrappers'> {
  readonly subcommand: 'build' | 'zigbuild';
  /** As cargo takes them: with a glibc version where zig links. */
  readonly targets: readonly string[];
  readonly features: readonly string[];
  readonly env: Environment;
}

/** Always zigbuild, natively too: only zig can link for an older glibc than this machine's. */
function planGateway(config: StageConfig, { hasZigbuild, miseProblem, zig }: Toolchain): RunParts {
  const floor = `${GLIBC_FLOOR.major}.${GLIBC_FLOOR.minor}`;
  if (!hasZigbuild || zig === undefined) {
    const [missing, remedy] = hasZigbuild
      ? ['zig', 'or set ZIG to its path']
      : ['cargo-zigbuild', 'and put it on PATH'];
    throw new MissingTool(
      `the gateway needs ${missing} to link for glibc ${floor}; install it (mise install, or pip install cargo-zigbuild) ${remedy}`,
      miseProblem,
    );
  }
  const artifacts = artifactsOf(config);
  const wrappers = artifacts.map(({ arch, triple }) => {
    const target = `${triple}.${floor}`;
    return zigWrapper(target, target, wrapperDirectory(config, arch), zig);
  });
  return {
    artifacts,
    wrappers,
    subcommand: 'zigbuild',
    targets: artifacts.map(({ triple }) => `${triple}.${floor}`),
    features: ['bundled-z3'],
    env: Object.fromEntries(wrappers.flatMap((wrapper) => wrapper.variables)),
  };
}

function planSupervisor(config: StageConfig, { hasZigbuild, miseProblem }: Toolchain): RunParts {
  const isStaticGlibc = config.build.libc === 'glibc-static';
  const foreign = config.arches.find((arch) => config.host.platform !== 'linux' || arch !== config.host.arch);
  if (foreign !== undefined && isStaticGlibc) {
    throw usageError(
      `SUPERVISOR_LIBC=glibc-static cannot be built for ${foreign} here: zig does not link glibc statically; ` +
        `use musl, or build on Linux ${foreign}`,
    );
  }
  if (foreign !== undefined && !hasZigbuild) {
    throw new MissingTool(
      `the supervisor for ${foreign} cannot be built here without cargo-zigbuild and zig; install them ` +
        `(mise install, or pip install cargo-zigbuild), or build on Linux ${foreign}`,
      miseProblem,
    );
  }
  const artifacts = artifactsOf(config);
  return {
    artifacts,
    wrappers: [],
    subcommand: hasZigbuild && !isStaticGlibc ? 'zigbuild' : 'build',
    targets: artifacts.map(({ triple }) => triple),
    features: [],
    env: isStaticGlibc ? staticGlibcFlags(config.build) : {},
  };
}

/** Where zig's compiler wrappers for an architecture stand. */
function wrapperDirectory({ root, build }: StageConfig, arch: Arch): string {
  return join(build.targetDirectory ?? join(root, 'target'), 'zig-gnu-wrapper', arch);
}

/** The user's flags, and the one that links libc in. The encoded variable would win over the plain one. */
function staticGlibcFlags({ encodedRustflags, rustflags }: BuildOptions): Environment {
  if (encodedRustflags !== undefined) {
    return { CARGO_ENCODED_RUSTFLAGS: `${encodedRustflags}\u001f-C\u001ftarget-feature=+crt-static` };
  }
  return { RUSTFLAGS: `${rustflags === undefined ? '' : `${rustflags} `}-C target-feature=+crt-static` };
}

function cargoCommand(
  { root, build }: StageConfig,
  toolchain: Toolchain,
  overlay: Overlay | undefined,
  component: Component,
  { subcommand, targets, features, env }: RunParts,
): Command {
  const directory = overlay?.targetDirectory ?? build.targetDirectory;
  const options = {
    cwd: overlay?.directory ?? root,
    base: toolchain.env,
    env: {
      CARGO_INCREMENTAL: '0',
      // With a stamped version, `git describe` must not win over it.
      ...(overlay === undefined ? {} : { GIT_DIR: '/nonexistent' }),
      ...(directory === undefined ? {} : { CARGO_TARGET_DIR: directory }),
      ...env,
    },
  };
  const selected = targets.flatMap((target) => ['--target', target]);
  const extra = features.length > 0 ? ['--features', features.join(' ')] : [];
  return cmd(
    options,
  )`cargo ${subcommand} --release ${selected} -p ${component.package} --bin ${component.binary} ${extra} ${MESSAGE_FORMAT}`;
}
