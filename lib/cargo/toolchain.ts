// SPDX-License-Identifier: Apache-2.0

/**
 * Where the Rust tools come from: PATH first, which is also what `mise run` and an activated shell give; else what mise
 * has, in the environment that it gives. One rule for every task.
 */

import type { Runner, RunnerContext } from '../build-env.ts';
import { type Environment, textOf } from '../cli/env.ts';
import { EXIT, oneLine, shown, TaskError, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/json.ts';
import { absolutePath } from '../fs/paths.ts';
import { cmd, shellQuote } from '../process/command.ts';
import { findProgram, isExecutable } from '../process/which.ts';
import { type CargoSettings, readCargoSettings } from './config-files.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** The error for a tool that a build needs and this machine does not have (exit 2). */
export class MissingTool extends TaskError {
  /** @param miseProblem why mise, which may have the tool, could not be used */
  constructor(message: string, miseProblem?: string) {
    super(miseProblem === undefined ? message : `${message}; ${miseProblem}`, EXIT.usage);
  }
}

export interface Toolchain {
  /**
   * What its programs get on top of the task's environment (`Command.base`): that of mise, where mise provides one of
   * them, and the compiler wrapper that cargo's files name, which the guard and the recovery have to see.
   */
  readonly env: Environment;
  /** Whether mise provides one of the programs. */
  readonly isFromMise: boolean;
  /** Why mise, which may have what is missing, could not be used; `undefined` where it could, or was not needed. */
  readonly miseProblem: string | undefined;
  /** What cargo's files and variables say, read once. */
  readonly settings: CargoSettings;
  readonly hasZigbuild: boolean;
  readonly hasRustup: boolean;
  /** The absolute path of zig, for compiler wrappers; `undefined` where there is none. */
  readonly zig: string | undefined;
}

/**
 * Finds cargo, cargo-zigbuild, rustup and zig. Starts mise only for what PATH does not have.
 * @param root the checkout, whose mise configuration counts
 * @param needsZig whether zig itself is needed, and not only through cargo-zigbuild
 * @throws MissingTool without cargo; usageError where `ZIG` is not a program
 */
export async function findToolchain(ctx: RunnerContext, root: string, needsZig: boolean): Promise<Toolchain> {
  const { env, runner, startDirectory } = ctx;
  const zig = zigOf(env, startDirectory);
  const names = ['cargo', 'cargo-zigbuild', 'rustup', ...(needsZig && zig === undefined ? ['zig'] : [])];
  const missing = names.filter((name) => findProgram(name, env) === undefined);
  const mise = missing.length === 0 ? {} : await miseEnvironment(runner, env, root);
  const isFromMise = missing.some((name) => findProgram(name, mise.env ?? {}) !== undefined);
  const provided = isFromMise ? mise.env : undefined;
  const seen = runner.environmentOf(cmd({ cwd: root, base: provided ?? {}, asInvoker: true })`cargo`);
  if (findProgram('cargo', seen) === undefined) {
    throw new MissingTool(
      'cargo is not on PATH and mise does not have it; install Rust (https://rustup.rs) and try again',
      mise.problem,
    );
  }
  const settings = await readCargoSettings(root, seen);
  const isFromFile = seen.RUSTC_WRAPPER === undefined && seen.CARGO_BUILD_RUSTC_WRAPPER === undefined;
  // To cargo this variable is as good as its file.
  const wrapper = isFromFile && settings.wrapper !== undefined ? { CARGO_BUILD_RUSTC_WRAPPER: settings.wrapper } : {};
  return {
    env: { ...provided, ...wrapper },
    isFromMise,
    miseProblem: mise.problem,
    settings,
    hasZigbuild: findProgram('cargo-zigbuild', seen) !== undefined,
    hasRustup: findProgram('rustup', seen) !== undefined,
    zig: zig ?? findProgram('zig', seen),
  };
}

/** How a shell gets the environment of the tool chain: a dry run prints it before the first command. */
export function toolchainLines({ isFromMise }: Toolchain, root: string): string[] {
  return isFromMise ? [`eval "$(mise --cd ${shellQuote(root)} env --shell bash)"`] : [];
}

/**
 * The zig that `ZIG` names.
 * @throws usageError where that is not a program
 */
export function zigOf(env: Environment, startDirectory: string): string | undefined {
  const named = textOf(env, 'ZIG');
  if (named === undefined) return undefined;
  const path = named.includes('/') ? absolutePath(startDirectory, named) : findProgram(named, env);
  if (path !== undefined && isExecutable(path)) return path;
  throw usageError(`ZIG is ${shown(named)}, which is not an executable program; set it to the path of zig or unset it`);
}

/**
 * Zig alone: `ZIG`, else PATH, else mise.
 * @throws MissingTool where none of them has it
 */
export async function findZig({ env, runner, startDirectory }: RunnerContext, root: string): Promise<string> {
  const onPath = zigOf(env, startDirectory) ?? findProgram('zig', env);
  if (onPath !== undefined) return onPath;
  const mise = await miseEnvironment(runner, env, root);
  const zig = findProgram('zig', mise.env ?? {});
  if (zig !== undefined) return zig;
  throw new MissingTool(
    'zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path',
    mise.problem,
  );
}

/** What mise sets in a directory, nothing without mise. The tools that it has are on the PATH in it. */
async function miseEnvironment(
  runner: Runner,
  env: Environment,
  root: string,
): Promise<{ readonly env?: Environment; readonly problem?: string }> {
  if (findProgram('mise', env) === undefined) return {};
  const result = await runner.probe(cmd({ cwd: root })`mise env --json`, PROBE_TIMEOUT_MS);
  if (!result.ok) return { problem: `mise env --json failed: ${oneLine(result.reason)}; check: mise doctor` };
  const set = parseJson(result.output);
  if (isTable(set) && Object.values(set).every((value) => typeof value === 'string')) {
    return { env: set as Environment };
  }
  return {
    problem: `mise env --json printed ${shown(result.output)}, which is not a table of texts; check: mise doctor`,
  };
}
