// SPDX-License-Identifier: Apache-2.0

/** The tools that libkrun is built with, beside packages: which python, which libclang, which cargo. */

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { askMise, findToolchain } from '../../cargo/find-toolchain.ts';
import { readCargoSettings, refuseMissing } from '../../cargo/settings.ts';
import type { Environment } from '../../cli/env.ts';
import { describeError, InterruptedError, MissingTool, shown, usageError } from '../../errors.ts';
import { namesIn } from '../../fs/paths.ts';
import { type Arch, linuxTriple } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import type { LibkrunConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;
/** What libkrunfw's `bin2cbundle.py` imports. */
const PYTHON_CHECK = 'from elftools.elf.elffile import ELFFile';
const SYSTEM_PYTHON = '/usr/bin/python3';

export interface LibkrunTools {
  /** The python to use in the place of the one on PATH; `undefined` where that one will do. */
  readonly python: string | undefined;
  /** The directory of libclang. */
  readonly libclang: string;
  readonly cargo: LibkrunCargo;
}

export interface LibkrunCargo {
  /** What it gets on top of the task's environment. */
  readonly base: Environment;
  readonly version: string;
}

/**
 * Finds the tools.
 * @param system the root of the file system, for tests
 * @throws MissingTool where one is missing or cannot be used; usageError for a wrong setting
 */
export async function findTools(ctx: RunnerContext, config: LibkrunConfig, system = '/'): Promise<LibkrunTools> {
  for (const program of ['git', 'make']) requireProgram(program, ctx.env, 'install it');
  const [python, libclang, cargo] = await Promise.all([
    findPython(ctx, config.root, join(system, SYSTEM_PYTHON)),
    findLibclang(ctx, config, system),
    findCargo(ctx, config),
  ]);
  const build = cmd({ cwd: config.library.directory, base: cargo.base, asInvoker: true })`cargo`;
  await refuseTargets(ctx, build, [linuxTriple(config.arch, 'gnu')]);
  return { python, libclang, cargo };
}

/**
 * Refuses what cargo is set to build for, unless libkrun can be built so: it would be found after an hour.
 * @param command what starts cargo, in libkrun's directory
 * @param allowed the targets that do
 * @throws usageError naming another one
 */
export async function refuseTargets(
  { runner }: RunnerContext,
  command: Command,
  allowed: readonly string[],
): Promise<void> {
  const { targets } = await readCargoSettings(command.cwd, runner.environmentOf(command));
  const other = targets.find((target) => !allowed.includes(target));
  if (other === undefined) return;
  throw usageError(
    `cargo is set to build for ${shown(other)}, and libkrun is built for this machine; ` +
      'unset CARGO_BUILD_TARGET, or change build.target in .cargo/config.toml',
  );
}

/** A virtual environment or mise often puts a python without pyelftools before the system's. */
async function findPython({ env, runner }: RunnerContext, root: string, system: string): Promise<string | undefined> {
  const found = findProgram('python3', env);
  const candidates = [...new Set([...(found === undefined ? [] : [found]), system])].filter(existsSync);
  const results = await Promise.all(
    candidates.map(async (python) => {
      const command = cmd({ cwd: root, asInvoker: true })`${python} -c ${PYTHON_CHECK}`;
      return { python, result: await runner.probe(command, PROBE_TIMEOUT_MS) };
    }),
  );
  const usable = results.find(({ result }) => result.ok);
  if (usable !== undefined) return usable.python === found ? undefined : usable.python;
  const reasons = results.map(({ python, result }) => `${python}: ${result.ok ? '' : result.reason}`);
  throw new MissingTool(
    `libkrunfw needs python3 with pyelftools (${reasons.join('; ') || 'there is no python3'}); ` +
      'install the package python3-pyelftools',
  );
}

/** Where bindgen finds libclang: the user's directory, llvm-config's, or the newest of the system. */
async function findLibclang(ctx: RunnerContext, config: LibkrunConfig, system: string): Promise<string> {
  const { env, runner, terminal } = ctx;
  const named = config.libclang;
  if (named !== undefined && hasLibclang(named)) return named;
  const llvm = findProgram('llvm-config', env);
  const command = cmd({ cwd: config.root })`${llvm ?? 'llvm-config'} --libdir`;
  const probed = llvm === undefined ? undefined : await runner.probe(command, PROBE_TIMEOUT_MS);
  const found = [...(probed?.ok === true ? [probed.output] : []), ...libclangPlaces(config.arch, system)].find(
    hasLibclang,
  );
  if (found === undefined) {
    const instead = named === undefined ? '' : `; LIBCLANG_PATH is ${shown(named)}, which has none either`;
    throw new MissingTool(
      `libkrun needs libclang.so, which is not here${instead}; install libclang-dev (clang-devel), ` +
        'or set LIBCLANG_PATH to its directory',
    );
  }
  if (named !== undefined) terminal.warn(`LIBCLANG_PATH is ${shown(named)}, which has no libclang.so; using ${found}`);
  return found;
}

const MULTIARCH: Readonly<Record<Arch, string>> = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/** The directories of distributions, the newest LLVM first. */
function libclangPlaces(arch: Arch, system: string): string[] {
  const lib = join(system, 'usr/lib');
  const versions = namesIn(lib).filter((name) => name.startsWith('llvm-'));
  const newestFirst = versions.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  return [...newestFirst.map((name) => join(lib, name, 'lib')), join(lib, MULTIARCH[arch]), join(system, 'usr/lib64')];
}

/** Whether a directory has what bindgen opens: `libclang.so` or `libclang-14.so`, and not `libclang-cpp.so`. */
function hasLibclang(directory: string): boolean {
  return namesIn(directory).some(
    (name) => /^libclang(?:-\d[\w.]*)?\.so$/.test(name) && existsSync(join(directory, name)),
  );
}

/**
 * The first cargo that is new enough: that of every task, then mise's, then that of rustup.
 * @throws MissingTool where none is
 */
export async function findCargo(
  ctx: RunnerContext,
  { minCargo, root }: Pick<LibkrunConfig, 'minCargo' | 'root'>,
): Promise<LibkrunCargo> {
  const tried: string[] = [];
  for (const next of [ofToolchain, ofMise, ofRustup]) {
    const base = await next(ctx, root).catch((error: unknown) => {
      if (!(error instanceof MissingTool)) throw error;
      tried.push(error.message);
      return undefined;
    });
    if (base === undefined) continue;
    const version = await versionOf(ctx, root, base).catch((error: unknown) => {
      if (error instanceof InterruptedError) throw error;
      tried.push(describeError(error));
      return undefined;
    });
    if (version !== undefined && isAtLeast(version, minCargo)) return { base, version };
    if (version !== undefined) tried.push(`cargo ${version} is too old`);
  }
  throw new MissingTool(
    `libkrun needs cargo ${minCargo} or newer (${tried.join('; ')}); run: rustup update, or set LIBKRUN_MIN_CARGO_VERSION`,
  );
}

async function ofToolchain(ctx: RunnerContext, root: string): Promise<Environment> {
  const { env, missingPrograms } = await findToolchain(ctx, root, false);
  refuseMissing(missingPrograms);
  return env;
}

async function ofMise(ctx: RunnerContext, root: string): Promise<Environment | undefined> {
  if (findProgram('mise', ctx.env) === undefined) return undefined;
  const result = await askMise(ctx, root);
  if ('problem' in result) throw new MissingTool(result.problem);
  return findProgram('cargo', { ...ctx.env, ...result.env }) === undefined ? undefined : result.env;
}

/** Debian's cargo comes before the user's on many machines. */
async function ofRustup({ env, runner }: RunnerContext): Promise<Environment | undefined> {
  const directory = join(runner.invoker?.home ?? env.HOME ?? '/', '.cargo/bin');
  if (findProgram(join(directory, 'cargo'), env) === undefined) return undefined;
  return { PATH: [directory, env.PATH ?? ''].join(delimiter) };
}

async function versionOf({ runner }: RunnerContext, root: string, base: Environment): Promise<string> {
  const output = await runner.cargo(cmd({ cwd: root, base })`cargo --version`);
  const version = /^cargo (\d+\.\d+\.\d+)/m.exec(output)?.[1];
  if (version === undefined) throw usageError(`cargo --version printed ${shown(output)}; check: cargo --version`);
  return version;
}

/** Whether a version is another one or newer; parts that the other one does not have do not matter. */
export function isAtLeast(version: string, minimum: string): boolean {
  const [have, want] = [version, minimum].map((text) => text.split('.').map(Number)) as [number[], number[]];
  const at = want.findIndex((part, index) => part !== (have[index] ?? 0));
  return at < 0 || (have[at] ?? 0) > (want[at] ?? 0);
}
