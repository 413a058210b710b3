// SPDX-License-Identifier: Apache-2.0

/** The plan of a staging, pure: which cargo runs, with which files before and which artifacts after. */

import { dirname, join } from 'node:path';
import type { Toolchain } from '../cargo/find-toolchain.ts';
import { type Features, MESSAGE_FORMAT } from '../cargo/metadata.ts';
import { targetDirectoryOf } from '../cargo/settings.ts';
import type { Overlay } from '../cargo/version-overlay.ts';
import { type ZigWrapper, zigWrapper } from '../cargo/zig-cc.ts';
import { isUnknown, refuseOrNote } from '../cli/dry-run-marks.ts';
import type { Environment } from '../cli/env.ts';
import { MissingTool, usageError } from '../errors.ts';
import { files, type Place } from '../fs/writable-places.ts';
import { type Arch, type Host, linuxTriple } from '../host.ts';
import { cmd } from '../process/command.ts';
import { type Component, PRODUCT } from '../product.ts';
import { STATIC_FLAGS, type StageConfig } from './config.ts';

/** The oldest glibc that the gateway runs on (RHEL 8, Debian 10). */
export const GLIBC_FLOOR = { major: 2, minor: 28 } as const;
const FLOOR = `${GLIBC_FLOOR.major}.${GLIBC_FLOOR.minor}`;

/** A binary that will be staged. */
export interface Artifact {
  readonly component: Component;
  readonly arch: Arch;
  /** The Rust target, without a glibc version. */
  readonly triple: string;
  readonly check: 'static' | 'glibc-floor' | 'executable';
  readonly path: string;
}

export type StagePlan = ReturnType<typeof planStage>;

/** A staging that is planned, with the Rust targets that are to be installed first. */
export interface PreparedStage {
  readonly plan: StagePlan;
  readonly toolchain: Toolchain;
  readonly missing: readonly string[];
}

/**
 * One cargo run for all architectures of a component: crates of two targets keep the cores busy.
 * @param overlay the directory that carries the stamped version; `undefined` to build in the checkout
 * @throws MissingTool, or usageError where this machine cannot build what was asked for
 */
export function planStage(config: StageConfig, toolchain: Toolchain, features: Features, overlay: Overlay | undefined) {
  const runs = config.components.map((component) => {
    const artifacts = artifactsOf({ ...config, components: [component] });
    const isGateway = component.name === 'gateway';
    const parts = isGateway ? gatewayParts(config, toolchain, artifacts) : supervisorParts(config, toolchain);
    const directory = overlay?.targetDirectory ?? config.build.targetDirectory;
    const env = {
      CARGO_INCREMENTAL: '0',
      // With a stamped version, `git describe` must not win over it.
      ...(overlay === undefined ? {} : { GIT_DIR: '/nonexistent' }),
      ...(directory === undefined ? {} : { CARGO_TARGET_DIR: directory }),
      ...parts.env,
    };
    // In the checkout, whose configuration and toolchain cargo and rustup look for from where they run.
    const command = cmd({ cwd: config.root, base: toolchain.env, env });
    const manifest = overlay === undefined ? [] : ['--manifest-path', join(overlay.directory, 'Cargo.toml')];
    const targets = artifacts.flatMap(({ triple }) => ['--target', isGateway ? `${triple}.${FLOOR}` : triple]);
    const all = [...new Set([...(features.get(component.name) ?? []), ...(isGateway ? ['bundled-z3'] : [])])];
    const selected = ['-p', component.package, '--bin', component.binary];
    const extra = all.length > 0 ? ['--features', all.join(' ')] : [];
    return {
      component,
      command: command`cargo ${parts.subcommand} --release ${manifest} ${targets} ${selected} ${extra} ${MESSAGE_FORMAT} ${parts.flags}`,
      artifacts,
      wrappers: parts.wrappers,
    };
  });
  return { config, overlay, runs };
}

/** One staging at a time in a checkout. */
export function stageLock(root: string): string {
  return join(root, PRODUCT.prebuiltDirectory, '..', '.stage.lock');
}

/** What is written before cargo runs. */
export function buildPlaces({ overlay, runs }: StagePlan): Place[] {
  const scripts = runs.flatMap(({ wrappers }) => wrappers.flatMap((wrapper) => wrapper.files.map(({ path }) => path)));
  const remedy = 'set CARGO_TARGET_DIR to another directory';
  const stamped = ['Cargo.toml', 'Cargo.lock'].map((name) => join(overlay?.directory ?? '', name));
  const own: Place[] = [{ kind: 'directory', path: dirname(overlay?.directory ?? '') }, ...files(...stamped)];
  return [...(overlay === undefined ? [] : own.map((place) => ({ ...place, remedy }))), ...files(...scripts)];
}

/** What is written when everything is staged. */
export function stagePlaces(plan: StagePlan): Place[] {
  const artifacts = plan.runs.flatMap((run) => run.artifacts.map(({ path }) => path));
  const lock: Place = { kind: 'directory', path: dirname(stageLock(plan.config.root)) };
  return [lock, ...buildPlaces(plan), ...files(...artifacts)];
}

/** What a staging will stage, without the tools that it takes. */
export function artifactsOf({ arches, build, components, root }: StageConfig): Artifact[] {
  return components.flatMap((component) => {
    const isGateway = component.name === 'gateway';
    const libc = isGateway || build.libc !== 'musl' ? 'gnu' : 'musl';
    const check = isGateway ? 'glibc-floor' : build.libc === 'gnu' ? 'executable' : 'static';
    return arches.map((arch): Artifact => {
      const path = join(root, PRODUCT.prebuiltDirectory, arch, component.binary);
      return { component, arch, triple: linuxTriple(arch, libc), check, path };
    });
  });
}

/** Where a cargo run depends on the component. */
interface RunParts {
  readonly subcommand: 'build' | 'rustc' | 'zigbuild';
  readonly flags: readonly string[];
  readonly wrappers: readonly ZigWrapper[];
  readonly env: Environment;
}

/** Always zigbuild, natively too: only zig can link for an older glibc than this machine's. */
function gatewayParts(
  { build, root }: StageConfig,
  { hasZigbuild, miseProblem, settings, unknowns, zig }: Toolchain,
  artifacts: readonly Artifact[],
): RunParts {
  if (!hasZigbuild || zig === undefined) {
    const text = `the gateway needs ${hasZigbuild ? 'zig' : 'cargo-zigbuild'} to link for glibc ${FLOOR}`;
    const remedy = 'install it (mise install, or pip install cargo-zigbuild), and set ZIG where zig is not on PATH';
    refuseOrNote(unknowns, new MissingTool(`${text}; ${remedy}`, miseProblem));
  }
  const directory = join(targetDirectoryOf(root, build.targetDirectory, settings), 'zig-gnu-wrapper');
  const wrappers = artifacts.map(({ arch, triple }) => {
    const target = `${triple}.${FLOOR}`;
    return zigWrapper(target, target, join(directory, arch), zig ?? 'zig');
  });
  const env = Object.fromEntries(wrappers.flatMap(({ variables }) => variables));
  return { subcommand: 'zigbuild', flags: [], wrappers, env };
}

function supervisorParts({ arches, build, host }: StageConfig, toolchain: Toolchain): RunParts {
  const plain = { flags: [], wrappers: [], env: {} };
  if (build.libc !== 'glibc-static') return { ...plain, subcommand: supervisorSubcommand(arches, host, toolchain) };
  const foreign = foreignOf(arches, host);
  if (foreign !== undefined && !isUnknown(foreign)) {
    const text = `SUPERVISOR_LIBC=glibc-static cannot be built for ${foreign} here: zig does not link glibc statically`;
    throw usageError(`${text}; use musl, or build on Linux ${foreign}`);
  }
  // A RUSTFLAGS of ours would replace the flags of cargo's configuration; these cargo itself joins with them.
  const isJoined = build.staticFlags === undefined && toolchain.settings.hasRustflags;
  if (isJoined) return { ...plain, subcommand: 'rustc', flags: ['--', ...STATIC_FLAGS] };
  return { ...plain, subcommand: 'build', env: build.staticFlags ?? { RUSTFLAGS: STATIC_FLAGS.join(' ') } };
}

/** What builds a supervisor, except one with glibc linked statically. @throws MissingTool where this machine cannot */
export function supervisorSubcommand(
  arches: readonly Arch[],
  host: Host,
  { hasZigbuild, miseProblem, unknowns }: Toolchain,
): 'build' | 'zigbuild' {
  if (hasZigbuild) return 'zigbuild';
  const foreign = foreignOf(arches, host);
  if (foreign === undefined) return 'build';
  const text =
    `the supervisor for ${foreign} cannot be built here without cargo-zigbuild and zig; install them ` +
    `(mise install, or pip install cargo-zigbuild), or build on Linux ${foreign}`;
  if (!isUnknown(foreign)) refuseOrNote(unknowns, new MissingTool(text, miseProblem));
  return 'zigbuild';
}

function foreignOf(arches: readonly Arch[], host: Host): Arch | undefined {
  return arches.find((arch) => host.platform !== 'linux' || arch !== host.arch);
}
