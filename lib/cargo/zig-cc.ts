// SPDX-License-Identifier: Apache-2.0

/**
 * Compilers made of zig, for build scripts (cc-rs, cmake) of a target with a pinned glibc: which files they are and
 * which variables point at them. Pure; `writeZigWrapper` writes them.
 */

import { join } from 'node:path';
import { type Change, writeWhole } from '../fs/atomic-write.ts';
import { scriptQuote } from '../process/command.ts';

export interface ZigWrapper {
  readonly files: readonly { readonly path: string; readonly text: string; readonly mode: number }[];
  /** In the order in which they are exported. */
  readonly variables: readonly (readonly [name: string, value: string])[];
}

/**
 * The wrapper of one target.
 * @param cargoTarget as cargo-zigbuild takes it: `x86_64-unknown-linux-gnu.2.28`
 * @param zigTarget the same or another target; zig's name is it without the vendor
 * @param directory absolute; the files stand in it
 * @param zig the absolute path of zig
 */
export function zigWrapper(cargoTarget: string, zigTarget: string, directory: string, zig: string): ZigWrapper {
  const target = zigTarget.replace('-unknown-linux-', '-linux-');
  const tools = ['cc', 'c++', 'ar', 'ranlib'] as const;
  const scripts = tools.map((tool) => ({
    path: join(directory, tool),
    text:
      tool === 'cc' || tool === 'c++'
        ? compilerScript(zig, tool, target)
        : `#!/bin/sh\nexec ${scriptQuote(zig)} ${tool} "$@"\n`,
    mode: 0o755,
  }));
  const cmake = join(directory, 'toolchain.cmake');
  const cpu = target.split('-')[0] ?? '';
  return {
    files: [...scripts, { path: cmake, text: cmakeToolchain(cpu, directory), mode: 0o644 }],
    variables: [...new Set([cargoTarget, bareTarget(cargoTarget)])].flatMap((name) => {
      const suffix = name.replaceAll(/[-.]/g, '_');
      return [
        [`CC_${suffix}`, join(directory, 'cc')],
        [`CXX_${suffix}`, join(directory, 'c++')],
        [`AR_${suffix}`, join(directory, 'ar')],
        [`RANLIB_${suffix}`, join(directory, 'ranlib')],
        [`CMAKE_TOOLCHAIN_FILE_${suffix}`, cmake],
      ] as const;
    }),
  };
}

/** Writes the files whole; those that are right already are left alone. */
export function writeZigWrapper(wrapper: ZigWrapper): Change {
  const changes = wrapper.files.map(({ path, text, mode }) => writeWhole(path, text, mode));
  return changes.includes('written') ? 'written' : 'unchanged';
}

/** The target without its glibc version: the name of its directory in cargo's output. */
export function bareTarget(cargoTarget: string): string {
  return cargoTarget.replace(/\.\d+\.\d+$/, '');
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
  word=$1
  shift
  case $word in
    --target=* | -target=*) ;;
    --target | -target)
      if [ "$left" -gt 0 ]; then
        left=$((left - 1))
        shift
      fi
      ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec ${scriptQuote(zig)} ${tool} --target=${scriptQuote(target)} "$@"
`;
}

function cmakeToolchain(cpu: string, directory: string): string {
  const values = [
    ['CMAKE_SYSTEM_NAME', 'Linux'],
    ['CMAKE_SYSTEM_PROCESSOR', cpu],
    ['CMAKE_C_COMPILER', join(directory, 'cc')],
    ['CMAKE_CXX_COMPILER', join(directory, 'c++')],
    ['CMAKE_AR', join(directory, 'ar')],
    ['CMAKE_RANLIB', join(directory, 'ranlib')],
    // Linking a program would need the target's system at configure time.
    ['CMAKE_TRY_COMPILE_TARGET_TYPE', 'STATIC_LIBRARY'],
  ] as const;
  return values.map(([name, value]) => `set(${name} ${cmakeQuoted(value)})\n`).join('');
}

/** A quoted argument of cmake, https://cmake.org/cmake/help/latest/manual/cmake-language.7.html. */
function cmakeQuoted(text: string): string {
  return `"${text.replaceAll(/[\\"$;]/g, '\\$&')}"`;
}
