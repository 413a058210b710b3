// SPDX-License-Identifier: Apache-2.0

/** Building what is used on this machine: its tools, cargo's runs, and the verification of what they built. */

import type { Runner, RunnerContext } from '../build-env.ts';
import { findToolchain, installTargets, type Toolchain } from '../cargo/find-toolchain.ts';
import { type CargoReport, featuresByComponent, readCargoMessages, readWorkspace } from '../cargo/metadata.ts';
import { type Change, writeWhole } from '../fs/atomic-write.ts';
import type { Arch } from '../host.ts';
import { type Binary, COMPILED_IN, COMPONENTS } from '../product.ts';
import type { BuildOptions } from '../stage/config.ts';
import type { KnownTools } from '../stage/execute.ts';
import { executableFor, putInPlace, verifyArtifact } from '../stage/verify-built.ts';
import type { DevBuildConfig, DevBuildPlan } from './plan.ts';

const CLOSED = Object.fromEntries(COMPILED_IN.map((name) => [name, undefined]));

/** Finds the tool chain. What a publish sets would be compiled in, and is taken from all of its runs. */
export async function closedToolchain(ctx: RunnerContext, root: string): Promise<Toolchain> {
  const toolchain = await findToolchain(ctx, root, false);
  return { ...toolchain, env: { ...toolchain.env, ...CLOSED } };
}

/** Gives each feature to those of the binaries whose packages declare it, in whichever cargo run they are built. */
export async function knownTools(
  { runner }: RunnerContext,
  root: string,
  { features, targetDirectory }: BuildOptions,
  binaries: readonly Binary[],
  toolchain: Toolchain,
): Promise<KnownTools> {
  if (features.length === 0) return { toolchain, features: new Map() };
  const workspace = await readWorkspace(runner, toolchain, root, targetDirectory);
  return { toolchain, workspace, features: featuresByComponent(features, binaries, workspace.packages) };
}

/** The plan as a dry run shows it. */
export function devBuildLines(runner: Runner, { command, config, cross, scripts }: DevBuildPlan): string[] {
  const { binary } = COMPONENTS.supervisor;
  const check = config.supervisor === undefined ? [] : [`# checks ${binary}: machine, complete, static`];
  const commands = [cross?.addTarget, command, cross?.command].filter((one) => one !== undefined);
  return [...scripts.map(({ path }) => `# writes ${path}`), ...commands.map((one) => runner.describe(one)), ...check];
}

/**
 * Runs cargo, one run after the other (they share a directory and its lock), and verifies what it built.
 * @throws TaskError: cargo's own status, 1 for a binary that fails verification, `MissingTool` for a Rust target
 */
export async function executeDevBuild(
  { runner }: Pick<RunnerContext, 'runner'>,
  { command, config, cross, scripts }: DevBuildPlan,
): Promise<DevBuild> {
  if (cross?.addTarget !== undefined) await installTargets(runner, cross.addTarget);
  for (const { path, text } of scripts) writeWhole(path, text, 0o755);
  const report = readCargoMessages(await runner.cargo(command));
  return verifyDevBuild(config, report, cross && readCargoMessages(await runner.cargo(cross.command)));
}

/** What the runs built. */
export interface DevBuild extends Pick<CargoReport, 'compiled' | 'total'> {
  /** Cargo's own path, verified for this machine. */
  readonly gateway: string;
  readonly supervisor: BuiltSupervisor | undefined;
  /** The paths of the other binaries, by their names. */
  readonly others: ReadonlyMap<string, string>;
}

/** A verified supervisor. Another build may replace the file at any time: take it with `installSupervisor`. */
export interface BuiltSupervisor {
  readonly path: string;
  readonly arch: Arch | undefined;
}

/** Verifies what the gateway's run built, and the supervisor's own run where it has one. @throws TaskError (1) */
function verifyDevBuild(config: DevBuildConfig, report: CargoReport, cross?: CargoReport): DevBuild {
  const { host, others, supervisor } = config;
  const pathOf = (binary: string) => {
    const path = executableFor(host.arch, binary, report.executablesOf(binary));
    // A Mac's executables are not ELF files.
    if (host.platform === 'linux') verifyArtifact({ arch: host.arch, check: 'executable' }, path);
    return path;
  };
  const { binary } = COMPONENTS.supervisor;
  const arch = typeof supervisor === 'object' ? supervisor.arch : host.arch;
  const ofSupervisor = () =>
    verifySupervisor(executableFor(arch, binary, (cross ?? report).executablesOf(binary)), arch);
  return {
    gateway: pathOf(COMPONENTS.gateway.binary),
    supervisor: supervisor === undefined ? undefined : ofSupervisor(),
    others: new Map(others.map((other) => [other.name, pathOf(other.binary)])),
    compiled: report.compiled + (cross?.compiled ?? 0),
    total: report.total + (cross?.total ?? 0),
  };
}

/** @throws TaskError (1) with every reason */
export function verifySupervisor(path: string, arch: Arch | undefined): BuiltSupervisor {
  verifyArtifact({ arch, check: 'static' }, path);
  return { path, arch };
}

/** Puts a supervisor where running sandboxes may have another one. */
export function installSupervisor({ path: source, arch }: BuiltSupervisor, path: string): Change {
  return putInPlace({ arch, check: 'static' }, source, path);
}
