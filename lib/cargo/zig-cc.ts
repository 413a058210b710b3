// SPDX-License-Identifier: Apache-2.0

/**
 * Compilers made of zig, for build scripts (cc-rs, cmake) of a target with a pinned glibc: which files they are and
 * which variables point at them. Pure; `writeZigWrapper` writes them.
 */

import { join } from 'node:path';
import { type Change, writeWhole } from '../fs/atomic-write.ts';
import { scriptQuote } from '../process/command.ts';

/** The tools, by the variables that point build scripts at them. */
const TOOLS = { CC: 'cc', CXX: 'c++', AR: 'ar', RANLIB: 'ranlib' } as const;
const CMAKE_FILE = 'toolchain.cmake';

export interface ZigWrapper {
  readonly files: readonly { readonly path: string; readonly text: string; readonly mode: number }[];
  /** In the order in which they are exported. */
  readonly variables: readonly (readonly [name: string, value: string])[];
}

/**
 * The wrapper of one target.
 * @param cargoTarget as cargo-zigbuild takes it: `x86_64-unknown-linux-gnu.2.28`
 * @param zigTarget the same or another target; zig's name for it has no vendor
 * @param directory the directory of the files, absolute
 * @param zig the absolute path of zig
 */
export function zigWrapper(cargoTarget: string, zigTarget: string, directory: string, zig: string): ZigWrapper {
  const target = zigTarget.replace('-unknown-linux-', '-linux-');
  const scripts = {
    cc: compilerScript(zig, 'cc', target),
    'c++': compilerScript(zig, 'c++', target),
    ar: `#!/bin/sh\nexec ${scriptQuote(zig)} ar "$@"\n`,
    ranlib: `#!/bin/sh\nexec ${scriptQuote(zig)} ranlib "$@"\n`,
  };
  const variables = Object.entries({ ...TOOLS, CMAKE_TOOLCHAIN_FILE: CMAKE_FILE });
  return {
    files: [
      ...Object.entries(scripts).map(([tool, text]) => ({ path: join(directory, tool), text, mode: 0o755 })),
      { path: join(directory, CMAKE_FILE), text: cmakeToolchain(target, directory), mode: 0o644 },
    ],
    variables: [...new Set([cargoTarget, bareTarget(cargoTarget)])].flatMap((name) => {
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
