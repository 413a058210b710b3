// SPDX-License-Identifier: Apache-2.0

/** What surrounds a command: the environment that it gets, what mise makes of it, and whose it is under sudo. */
/**
 * Programs that are started through mise. mise gives them an environment of its own, and what it sets wins over what
 * the task has: whoever decides by a command's environment has to know it.
 */

import { basename } from 'node:path';
import { configFilePaths } from '../cargo/config-files.ts';
import type { Environment } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/json.ts';
import type { Invoker } from '../fs/ownership.ts';
import { type Command, command } from './command.ts';

export class Surroundings {
  readonly #env: Environment;
  readonly #invoker: Invoker | undefined;
  #miseEnvironment: Environment = {};
  #cargoWrapper: string | undefined;
  #cargoReading: { readonly directory: string; readonly end: Promise<void> } | undefined;

  constructor(env: Environment, invoker: Invoker | undefined) {
    this.#env = env;
    this.#invoker = invoker;
  }

  /** Takes over what mise says that it sets. */
  learn(miseEnvironment: Environment): void {
    this.#miseEnvironment = miseEnvironment;
  }

  /**
   * Reads which compiler wrapper cargo's configuration files name for a run in a directory. Cargo takes it from there by
   * itself; who decides by the wrapper has to know it too. A task reads them once for a directory, and whoever asks
   * meanwhile waits for that.
   */
  learnCargo(directory: string): Promise<void> {
    if (this.#cargoReading?.directory !== directory)
      this.#cargoReading = { directory, end: this.#readCargo(directory) };
    return this.#cargoReading.end;
  }

  async #readCargo(directory: string): Promise<void> {
    this.#cargoWrapper = undefined;
    const env = this.of(command(['cargo'], { cwd: directory, asInvoker: true }));
    if (configFilePaths(directory, env).length === 0) return;
    const { cargoSettings, readConfigFiles } = await import('../cargo/config-files.ts');
    this.#cargoWrapper = cargoSettings(readConfigFiles(directory, env), {}, directory).wrapper;
  }

  /** The environment that the command is started with. */
  of(value: Command): Environment {
    const invoker = this.invokerOf(value);
    return { ...this.#env, ...(invoker === undefined ? {} : { HOME: invoker.home, USER: invoker.user }), ...value.env };
  }

  /** The environment that the program of a command will see, behind mise too. */
  seenBy(value: Command): Environment {
    const isThroughMise = misePrefixOf(value).length > 0;
    const env = isThroughMise ? { ...this.of(value), ...this.#miseEnvironment, ...value.env } : this.of(value);
    // To cargo a file is as good as this variable, and both variables win over it.
    return { CARGO_BUILD_RUSTC_WRAPPER: this.#cargoWrapper, ...env };
  }

  /** The command as it is started: what it sets, mise would set to something else. */
  inside(value: Command): Command {
    return insideMise(value, this.#miseEnvironment);
  }

  /** The user whom the command runs as; `undefined` for the user of this process. */
  invokerOf(value: Command): Invoker | undefined {
    return value.asInvoker ? this.#invoker : undefined;
  }

  /** The user of the child process, for `spawn`. */
  userOf(value: Command): { uid: number; gid: number } | Record<string, never> {
    const invoker = this.invokerOf(value);
    return invoker === undefined ? {} : { uid: invoker.uid, gid: invoker.gid };
  }
}

/** What stands before the words of a program that mise provides. */
export const MISE_PREFIX = ['mise', 'x', '--'] as const;

/** The words of mise in front of a command, up to `--`; empty where the command does not go through mise. */
export function misePrefixOf({ argv }: Command): readonly string[] {
  return basename(argv[0]) === 'mise' ? argv.slice(0, argv.indexOf('--') + 1) : [];
}

/** The name of the program that a command starts, behind mise too. */
export function programName(value: Command): string {
  return basename(value.argv[misePrefixOf(value).length] ?? '');
}

/**
 * The command with those of its variables set once more behind mise that mise would win over.
 *
 * @param env what mise sets
 */
export function insideMise(value: Command, env: Environment): Command {
  const prefix = misePrefixOf(value);
  const entries = Object.entries(value.env).filter(([name]) => env[name] !== undefined);
  if (prefix.length === 0 || entries.length === 0) return value;
  const removed = entries.flatMap(([name, text]) => (text === undefined ? ['-u', name] : []));
  const added = entries.flatMap(([name, text]) => (text === undefined ? [] : [`${name}=${text}`]));
  const words = [...prefix, 'env', ...removed, ...added, ...value.argv.slice(prefix.length)];
  return { ...value, argv: words as [string, ...string[]] };
}

/**
 * Reads the answer of `mise env --json`.
 *
 * @throws usageError when it is no table of texts
 */
export function parseMiseEnvironment(text: string): Environment {
  const answer = parseJson(text);
  if (isTable(answer) && Object.values(answer).every((value) => typeof value === 'string'))
    return answer as Environment;
  throw usageError(`mise env --json answers ${shown(text)}, which is no table of texts; check: mise doctor`);
}
