// SPDX-License-Identifier: Apache-2.0

/**
 * Where the Rust tools come from: PATH first, which is also what `mise run` and an activated
 * shell give; else through mise. One rule for every task.
 */

import type { Runner } from '../build-env.ts';
import { type Environment, textOf } from '../cli/env.ts';
import { EXIT, shown, TaskError, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { MISE_PREFIX } from '../process/child-env.ts';
import { command } from '../process/command.ts';
import { findProgram, isExecutable } from '../process/which.ts';

const PROBE_TIMEOUT_MS = 20_000;

/** The error for a tool that a build needs and this machine does not have (exit 2). */
export class MissingTool extends TaskError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, EXIT.usage, options);
  }
}

export interface Toolchain {
  /** What stands before the words of a cargo or rustup command: nothing, or `mise x --`. */
  readonly prefix: readonly string[];
  readonly hasZigbuild: boolean;
  readonly hasRustup: boolean;
  /** The absolute path of zig, for compiler wrappers; `undefined` where there is none. */
  readonly zig: string | undefined;
}

/**
 * Finds cargo, cargo-zigbuild, rustup and zig. Starts mise only for what PATH does not have.
 *
 * @param root the checkout, whose mise configuration counts
 * @param startDirectory what a relative `ZIG` is relative to
 * @param needsZig whether zig itself is needed, and not only through cargo-zigbuild
 * @throws MissingTool without cargo; usageError where `ZIG` names no program
 */
export async function findToolchain(
  runner: Runner,
  env: Environment,
  root: string,
  startDirectory: string,
  needsZig: boolean,
): Promise<Toolchain> {
  const zigNamed = zigOf(env, startDirectory);
  const names = ['cargo', 'cargo-zigbuild', 'rustup', ...(needsZig ? ['zig'] : [])];
  const missing = names.filter(
    (name) => findProgram(name, env) === undefined && !(name === 'zig' && zigNamed !== undefined),
  );
  const viaMise = await whichByMise(runner, env, root, missing);
  const has = (name: string) => findProgram(name, env) !== undefined || viaMise.has(name);
  if (!has('cargo')) {
    throw new MissingTool(
      'cargo is not on PATH and mise does not have it; install Rust (https://rustup.rs) and try again',
    );
  }
  if (viaMise.size > 0) await runner.learnMise(root);
  await runner.learnCargo(root);
  return {
    prefix: viaMise.size > 0 ? MISE_PREFIX : [],
    hasZigbuild: has('cargo-zigbuild'),
    hasRustup: has('rustup'),
    zig: zigNamed ?? findProgram('zig', env) ?? viaMise.get('zig'),
  };
}

/**
 * The zig that `ZIG` names.
 *
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
 *
 * @throws usageError where none of them has it
 */
export async function findZig(runner: Runner, env: Environment, root: string, startDirectory: string): Promise<string> {
  const zig =
    zigOf(env, startDirectory) ?? findProgram('zig', env) ?? (await whichByMise(runner, env, root, ['zig'])).get('zig');
  if (zig !== undefined) return zig;
  throw usageError(
    'zig is not on PATH and mise does not have it; install it (mise install zig) or set ZIG to its path',
  );
}

/** The programs that mise has, by name; empty where there is no mise. */
async function whichByMise(
  runner: Runner,
  env: Environment,
  root: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0 || findProgram('mise', env) === undefined) return new Map();
  const found = await Promise.all(
    names.map(async (name) => {
      const answer = await runner.probe(command(['mise', 'which', name], { cwd: root }), PROBE_TIMEOUT_MS);
      return answer.ok && isExecutable(answer.output) ? ([[name, answer.output]] as const) : [];
    }),
  );
  return new Map(found.flat());
}
