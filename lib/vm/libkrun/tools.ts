// SPDX-License-Identifier: Apache-2.0

/** The tools that libkrun is built with, beside packages: which python, which libclang, which cargo. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findToolchain } from '../../cargo/find-toolchain.ts';
import { refuseMissing } from '../../cargo/settings.ts';
import type { Environment } from '../../cli/env.ts';
import { MissingTool, shown } from '../../errors.ts';
import { namesIn } from '../../fs/paths.ts';
import { type Arch, linuxTriple } from '../../host.ts';
import { cmd } from '../../process/command.ts';
import { findProgram, requireProgram } from '../../process/which.ts';
import type { LibkrunConfig } from './config.ts';

const PROBE_TIMEOUT_MS = 20_000;
/** What libkrunfw's `bin2cbundle.py` imports. */
const PYTHON_CHECK = 'from elftools.elf.elffile import ELFFile';

export interface LibkrunTools {
  readonly python: string;
  /** The directory of libclang. */
  readonly libclang: string;
  /** What cargo gets on top of the task's environment. */
  readonly cargo: Environment;
}

/**
 * Finds the tools.
 * @param system the root of the file system, for tests
 * @throws MissingTool where one is missing or cannot be used; usageError for a wrong setting
 */
export async function findTools(ctx: RunnerContext, config: LibkrunConfig, system = '/'): Promise<LibkrunTools> {
  for (const program of ['git', 'make']) requireProgram(program, ctx.env, 'install it');
  const [python, libclang, cargo] = await Promise.all([
    findPython(ctx, config.root, join(system, 'usr/bin/python3')),
    findLibclang(ctx, config, system),
    findCargo(ctx, config),
  ]);
  return { python, libclang, cargo };
}

/** A virtual environment or mise often puts a python without pyelftools before the system's. */
async function findPython({ env, runner }: RunnerContext, root: string, system: string): Promise<string> {
  const reasons: string[] = [];
  for (const python of new Set([findProgram('python3', env), findProgram(system, env)])) {
    if (python === undefined) continue;
    const command = cmd({ cwd: root, asInvoker: true })`${python} -c ${PYTHON_CHECK}`;
    const result = await runner.probe(command, PROBE_TIMEOUT_MS);
    if (result.ok) return python;
    reasons.push(`${python}: ${result.reason}`);
  }
  throw new MissingTool(
    `libkrunfw needs python3 with pyelftools (${reasons.join('; ') || 'there is no python3'}); ` +
      'install the package python3-pyelftools',
  );
}

/** Where bindgen finds libclang: the user's directory, llvm-config's, or the newest of the system. */
async function findLibclang(ctx: RunnerContext, config: LibkrunConfig, system: string): Promise<string> {
  const { env, runner, terminal } = ctx;
  const { arch, libclang: named, root } = config;
  if (named !== undefined && hasLibclang(named)) return named;
  const llvm = findProgram('llvm-config', env);
  const command = cmd({ cwd: root })`${llvm ?? 'llvm-config'} --libdir`;
  const probed = llvm === undefined ? undefined : await runner.probe(command, PROBE_TIMEOUT_MS);
  const places = [...(probed?.ok === true ? [probed.output] : []), ...libclangPlaces(arch, system)];
  const found = places.find(hasLibclang);
  const instead = named === undefined ? '' : `; LIBCLANG_PATH is ${shown(named)}, which has none either`;
  if (found === undefined) {
    throw new MissingTool(
      `libkrun needs libclang.so, which is not here${instead}; install libclang-dev (clang-devel), ` +
        'or set LIBCLANG_PATH to its directory',
    );
  }
  if (named !== undefined) terminal.warn(`LIBCLANG_PATH is ${shown(named)}, which has no libclang.so; using ${found}`);
  return found;
}

/** The directories of distributions, the newest LLVM first. */
function libclangPlaces(arch: Arch, system: string): string[] {
  const lib = join(system, 'usr/lib');
  const versions = namesIn(lib).filter((name) => name.startsWith('llvm-'));
  const newestFirst = versions.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const multiarch = linuxTriple(arch, 'gnu').replace('-unknown', '');
  return [...newestFirst.map((name) => join(lib, name, 'lib')), join(lib, multiarch), join(system, 'usr/lib64')];
}

/** Whether a directory has what bindgen opens: `libclang.so` or `libclang-14.so`, and not `libclang-cpp.so`. */
function hasLibclang(directory: string): boolean {
  return namesIn(directory).some(
    (name) => /^libclang(?:-\d[\w.]*)?\.so$/.test(name) && existsSync(join(directory, name)),
  );
}

/**
 * The cargo of every task, if it is new enough: on many machines Debian's comes before the user's.
 * @returns what it gets on top of the task's environment
 * @throws MissingTool where it is too old
 */
export async function findCargo(
  ctx: RunnerContext,
  { minCargo, root }: Pick<LibkrunConfig, 'minCargo' | 'root'>,
): Promise<Environment> {
  const { env, missingPrograms } = await findToolchain(ctx, root, false);
  refuseMissing(missingPrograms);
  const output = await ctx.runner.cargo(cmd({ cwd: root, base: env })`cargo --version`);
  const version = /^cargo (\d+\.\d+\.\d+)/m.exec(output)?.[1] ?? '';
  if (version.localeCompare(minCargo, 'en', { numeric: true }) >= 0) return env;
  throw new MissingTool(
    `libkrun needs cargo ${minCargo} or newer, and that on PATH is ${shown(version)}; run: rustup update, ` +
      'put ~/.cargo/bin first on PATH, or set LIBKRUN_MIN_CARGO_VERSION',
  );
}
