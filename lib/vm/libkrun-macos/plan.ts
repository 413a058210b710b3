// SPDX-License-Identifier: Apache-2.0

/**
 * The commands of a build of libkrun on macOS. The libraries are linked and signed in a directory of their own, so that
 * nobody reads one that is half done.
 */

import { delimiter, join } from 'node:path';
import { type Command, cmd } from '../../process/command.ts';
import type { MacosConfig } from './config.ts';

export type MacosPlan = ReturnType<typeof planMacos>;

const LIBRARY = 'libkrun.dylib';
const FIRMWARE = 'libkrunfw.dylib';

/**
 * @param brew where Homebrew is
 * @param hasLlvm whether Homebrew's LLVM is there, whose libclang bindgen takes
 */
export function planMacos(config: MacosConfig, brew: string, hasLlvm: boolean) {
  const { abi, directory, jobs, kernelSource, library } = config;
  const work = join(directory, 'dylibs');
  const versioned = `libkrunfw.${abi}.dylib`;
  // Its own Makefile starts cargo, and looks where that puts things by itself. It cleans there, too.
  const target = { CARGO_TARGET_DIR: join(library.directory, 'target') };
  const place = { cwd: library.directory, base: { CARGO_BUILD_TARGET: undefined }, asInvoker: true };
  const llvm = join(brew, 'opt/llvm/lib');
  const [places, clang] = [[work, join(brew, 'lib')], hasLlvm ? [llvm] : []];
  const env = {
    ...target,
    // First what has just been built. An empty part would be the current directory.
    LIBRARY_PATH: joined(...places, config.libraryPath),
    DYLD_LIBRARY_PATH: joined(...clang, ...places, config.loaderPath),
    ...(hasLlvm ? { LIBCLANG_PATH: llvm } : {}),
  };
  const compiler = cmd({ cwd: directory, asInvoker: true });
  return {
    config,
    /** The directory of the libraries while they are not done. */
    work,
    /** The names of the libraries: libkrun's, libkrunfw's, and that with its version. */
    libraries: [LIBRARY, FIRMWARE, versioned] as const,
    /** The directory of what cargo leaves. */
    built: join(library.directory, 'target/release'),
    compile: compiler`cc -fPIC -DABI_VERSION=${abi} -shared -o ${join(work, versioned)} ${kernelSource}`,
    clean: cmd({ ...place, env: target })`make clean`,
    build: cmd({ ...place, env })`make BLK=1 NET=1 -j${jobs}`,
  };
}

function joined(...parts: readonly (string | undefined)[]): string {
  return parts.flatMap((part) => (part ?? '').split(delimiter).filter((one) => one !== '')).join(delimiter);
}

/** The command that lists what a library needs. */
export function listNeeded({ work }: MacosPlan, name: string): Command {
  return cmd({ cwd: work, asInvoker: true })`otool -L ${join(work, name)}`;
}

/**
 * The commands that make a library independent of where it is, and sign it again: a changed one has no signature.
 * @param needed what it needs, as `otool` says
 */
export function portableCommands({ work }: MacosPlan, name: string, needed: readonly string[]): Command[] {
  const path = join(work, name);
  const command = cmd({ cwd: work, asInvoker: true });
  const firmware = name === LIBRARY ? needed.find((one) => one.includes('libkrunfw')) : undefined;
  const change = firmware && command`install_name_tool -change ${firmware} @loader_path/${FIRMWARE} ${path}`;
  return [
    command`install_name_tool -id @loader_path/${name} ${path}`,
    ...(change ? [change] : []),
    command`codesign -f -s - ${path}`,
  ];
}

/** What a library needs, from the output of `otool -L`, whose first line names the library. */
export function neededIn(output: string): string[] {
  return [...output.matchAll(/^\s+(\S.*?) \(compatibility version /gm)].map(([, path = '']) => path);
}

/** What another Mac does not have: all but the system's libraries, and those that are beside the library. */
export function foreignIn(needed: readonly string[]): string[] {
  return needed.filter((path) => !/^(?:@|\/usr\/lib\/|\/System\/Library\/)/.test(path));
}
