// SPDX-License-Identifier: Apache-2.0

/**
 * Compilers made of zig, for build scripts (cc-rs, cmake) of a target with a pinned glibc: which files they are and
 * which variables point at them. Shell scripts that eval use them, too, and GitHub workflows.
 */

import { appendFileSync, globSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark } from '../cli/dry-run-marks.ts';
import { readPath } from '../cli/env.ts';
import type { Terminal } from '../cli/terminal.ts';
import { naming, shown, usageError } from '../errors.ts';
import { type Change, writeWhole } from '../fs/atomic-write.ts';
import { asOwner } from '../fs/ownership.ts';
import { absolutePath } from '../fs/paths.ts';
import { files, type Place, verifyPlaces } from '../fs/writable-places.ts';
import { scriptQuote, shellQuote } from '../process/command.ts';
import { findZig } from './find-toolchain.ts';
import { type CargoSettings, readCargoSettings, targetDirectoryOf } from './settings.ts';

/** The tools, by the variables that point build scripts at them. */
const TOOLS = { CC: 'cc', CXX: 'c++', AR: 'ar', RANLIB: 'ranlib' } as const;
const CMAKE_FILE = 'toolchain.cmake';
/** A target triple, with or without a glibc version. It is a part of file names and scripts. */
const TARGET = /^[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)+(?:\.[0-9]+\.[0-9]+)?$/;
const FOREIGN_COMPILER = /cargo-zigbuild|zigc(?:c|xx)-[^\s"]*unknown-linux-gnu\.\d+\.\d+/;

export type ZigWrapper = ReturnType<typeof zigWrapper>;

/**
 * The wrapper of one target. Paths are absolute.
 * @param cargoTarget as cargo-zigbuild takes it: `x86_64-unknown-linux-gnu.2.28`
 * @param zigTarget the same or another target; zig's name for it has no vendor
 */
export function zigWrapper(cargoTarget: string, zigTarget: string, directory: string, zig: string) {
  const target = zigTarget.replace('-unknown-linux-', '-linux-');
  const plainScript = (tool: string) => `#!/bin/sh\nexec ${scriptQuote(zig)} ${tool} "$@"\n`;
  const texts = Object.values(TOOLS).map((tool) => {
    return [tool, tool.startsWith('c') ? compilerScript(zig, tool, target) : plainScript(tool)] as const;
  });
  const variables = Object.entries({ ...TOOLS, CMAKE_TOOLCHAIN_FILE: CMAKE_FILE });
  const triple = cargoTarget.replace(/\.\d+\.\d+$/, '');
  return {
    /** The target without its glibc version: the name of its directory in cargo's output. */
    triple,
    files: [
      ...texts.map(([tool, text]) => ({ path: join(directory, tool), text, mode: 0o755 })),
      { path: join(directory, CMAKE_FILE), text: cmakeToolchain(target, directory), mode: 0o644 },
    ],
    /** In the order in which they are exported. */
    variables: [...new Set([cargoTarget, triple])].flatMap((name) => {
      const suffix = name.replaceAll(/[-.]/g, '_');
      return variables.map(([variable, file]) => [`${variable}_${suffix}`, join(directory, file)] as const);
    }),
  };
}

/** Writes the files whole; those that have this content are left alone. */
export function writeZigWrapper(wrapper: ZigWrapper): Change {
  const changes = wrapper.files.map(({ path, text, mode }) => writeWhole(path, text, mode));
  return changes.includes('written') ? 'written' : 'unchanged';
}

/**
 * Drops the target that cc-rs and cmake name (zig does not know Rust's triples) and names zig's. Plain sh without
 * arrays, because an empty array is an error in bash 3.2 under nounset.
 */
function compilerScript(zig: string, tool: string, target: string): string {
  return `#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
  left=$((left - 1))
  argument=$1
  shift
  case $argument in
    --target=* | -target=*) ;;
    --target | -target)
      if [ "$left" -gt 0 ]; then
        left=$((left - 1))
        shift
      fi
      ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec ${scriptQuote(zig)} ${tool} --target=${scriptQuote(target)} "$@"
`;
}

function cmakeToolchain(target: string, directory: string): string {
  const values = {
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: target.replace(/-.*/, ''),
    CMAKE_C_COMPILER: join(directory, TOOLS.CC),
    CMAKE_CXX_COMPILER: join(directory, TOOLS.CXX),
    CMAKE_AR: join(directory, TOOLS.AR),
    CMAKE_RANLIB: join(directory, TOOLS.RANLIB),
    // Linking a program would need the target's system at configure time.
    CMAKE_TRY_COMPILE_TARGET_TYPE: 'STATIC_LIBRARY',
  };
  return Object.entries(values)
    .map(([name, value]) => `set(${name} ${cmakeQuoted(value)})\n`)
    .join('');
}

/** A quoted argument of cmake, https://cmake.org/cmake/help/latest/manual/cmake-language.7.html. */
function cmakeQuoted(text: string): string {
  return `"${text.replaceAll(/[\\"$;]/g, '\\$&')}"`;
}

/**
 * Z3's cmake cache remembers the compilers it was configured with. Those that name cargo-zigbuild's own wrappers cannot be
 * used with ours, and are removed below the directories that cargo builds in.
 */
export function removeStaleCmakeCaches(
  terminal: Terminal,
  target: string,
  { buildDirectory }: CargoSettings,
  triple: string,
): void {
  const pattern = `${triple}/{release,debug}/build/z3-sys-*/out/build`;
  const stale = [target, buildDirectory ?? []]
    .flat()
    .flatMap((cwd) => globSync(pattern, { cwd }).map((directory) => join(cwd, directory)))
    .filter(namesForeignCompiler);
  for (const directory of stale) {
    asOwner(directory, () => rmSync(directory, { recursive: true, force: true }));
    terminal.say(`removed a stale cmake cache: ${directory}`);
  }
}

function namesForeignCompiler(directory: string): boolean {
  return globSync(['CMakeCache.txt', 'CMakeFiles/**'], { cwd: directory, withFileTypes: true }).some(
    (entry) => entry.isFile() && FOREIGN_COMPILER.test(readFileSync(join(entry.parentPath, entry.name), 'latin1')),
  );
}

/** Writes the wrappers, removes stale cmake caches, and prints or appends the variables; or prints the plan. */
export async function setUpZigWrapper(
  ctx: RunnerContext,
  cargoTarget: string,
  zigTarget: string,
  directory: string,
  isDryRun = false,
): Promise<void> {
  const { env, startDirectory, terminal } = ctx;
  for (const [name, target] of Object.entries({ 'cargo-target': cargoTarget, 'zig-target': zigTarget })) {
    if (TARGET.test(target)) continue;
    throw usageError(`${name} is ${shown(target)}; allowed is a target such as x86_64-unknown-linux-gnu.2.28`);
  }
  const workflowFile = readPath(env, 'GITHUB_ENV', startDirectory);
  const path = absolutePath(startDirectory, directory);
  // A workflow's environment file takes one line for a value.
  if (directory === '' || (workflowFile !== undefined && /[\r\n]/.test(path))) {
    throw usageError(`wrapper-dir is ${shown(directory && path)}; give the directory for the wrappers, on one line`);
  }
  const root = findCheckout(env, startDirectory);
  const zig = (await findOrMark(ctx.unknowns, () => findZig(ctx, root))) ?? 'zig';
  const wrapper = zigWrapper(cargoTarget, zigTarget, path, zig);
  const paths = wrapper.files.map(({ path }) => path);
  const appended: Place[] =
    workflowFile === undefined ? [] : [{ kind: 'appended', path: workflowFile, remedy: 'unset GITHUB_ENV' }];
  verifyPlaces(terminal, [...files(...paths), ...appended]);
  const exported = wrapper.variables.map(([name, value]) => `export ${name}=${shellQuote(value)}`);
  if (isDryRun) {
    return terminal.result(...[...paths, workflowFile ?? []].flat().map((path) => `# writes ${path}`), ...exported);
  }
  writeZigWrapper(wrapper);
  const settings = await readCargoSettings(root, env);
  const target = targetDirectoryOf(root, readPath(env, 'CARGO_TARGET_DIR', startDirectory), settings);
  removeStaleCmakeCaches(terminal, target, settings, wrapper.triple);
  if (workflowFile === undefined) return terminal.result(...exported);
  const text = wrapper.variables.map(([name, value]) => `${name}=${value}\n`).join('');
  asOwner(workflowFile, () => naming(workflowFile, () => appendFileSync(workflowFile, text)));
}
