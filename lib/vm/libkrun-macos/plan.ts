// SPDX-License-Identifier: Apache-2.0

/**
 * The commands of a build of libkrun on macOS. The libraries are linked and signed in a directory of their own, so that
 * nobody reads one that is half done.
 */

import { delimiter, join } from 'node:path';
import { type Command, cmd } from '../../process/command.ts';
import { markerOf } from '../libkrun/leftovers.ts';
import { OWN_FILES } from '../libkrun/plan.ts';
import type { MacosConfig } from './config.ts';

/** What this machine has. */
export interface MacosFacts {
  /** Where Homebrew is. */
  readonly brew: string;
  /** Whether Homebrew's LLVM is there, whose libclang bindgen takes. */
  readonly hasLlvm: boolean;
}

export interface MacosPlan {
  readonly config: MacosConfig;
  readonly facts: MacosFacts;
  /** The directory of the libraries while they are not done. */
  readonly work: string;
  /** The names of the libraries; the first one is libkrun's. */
  readonly libraries: readonly string[];
  /** What cargo leaves. */
  readonly built: string;
  readonly compile: Command;
  readonly clean: Command;
  readonly build: Command;
}

const LIBRARY = 'libkrun.dylib';
const FIRMWARE = 'libkrunfw.dylib';

export function planMacos(config: MacosConfig, facts: MacosFacts): MacosPlan {
  const { abi, directory, jobs, kernelSource, library } = config;
  const work = join(directory, 'dylibs');
  const versioned = `libkrunfw.${abi}.dylib`;
  const output = join(library.directory, 'target');
  // Its own Makefile starts cargo, and looks where that puts things by itself. It cleans there, too.
  const base = { CARGO_BUILD_TARGET: undefined, ...markerOf(directory) };
  const target = { CARGO_TARGET_DIR: output };
  const place = { cwd: library.directory, base, env: target, asInvoker: true };
  const make = cmd({ ...place, env: { ...target, ...buildEnvironment(config, facts, work) } });
  return {
    config,
    facts,
    work,
    libraries: [LIBRARY, FIRMWARE, versioned],
    built: join(output, 'release', LIBRARY),
    compile: cmd({
      cwd: directory,
      base: markerOf(directory),
      asInvoker: true,
    })`cc -fPIC -DABI_VERSION=${abi} -shared -o ${join(work, versioned)} ${kernelSource}`,
    clean: cmd(place)`make clean`,
    build: make`make BLK=1 NET=1 -j${jobs}`,
  };
}

/** Where the linker and the loader look: first for what has just been built. An empty part would be the current directory. */
function buildEnvironment(config: MacosConfig, { brew, hasLlvm }: MacosFacts, work: string): Record<string, string> {
  const llvm = join(brew, 'opt/llvm/lib');
  const joined = (...parts: readonly (string | undefined)[]) =>
    parts.flatMap((part) => (part ?? '').split(delimiter).filter((one) => one !== '')).join(delimiter);
  const places = [work, join(brew, 'lib')];
  return {
    LIBRARY_PATH: joined(...places, config.libraryPath),
    DYLD_LIBRARY_PATH: joined(...(hasLlvm ? [llvm] : []), ...places, config.loaderPath),
    ...(hasLlvm ? { LIBCLANG_PATH: llvm } : {}),
  };
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
  const firmware = needed.find((one) => one.includes('libkrunfw'));
  const isOther = name === LIBRARY && firmware !== undefined;
  const change = isOther ? [command`install_name_tool -change ${firmware} @loader_path/${FIRMWARE} ${path}`] : [];
  return [command`install_name_tool -id @loader_path/${name} ${path}`, ...change, command`codesign -f -s - ${path}`];
}

/** What a library needs, from the output of `otool -L`, whose first line names the library. */
export function neededIn(output: string): string[] {
  return [...output.matchAll(/^\s+(\S.*?) \(compatibility version /gm)].map(([, path = '']) => path);
}

/** What another Mac does not have: all but the system's libraries, and those that are beside the library. */
export function foreignIn(needed: readonly string[]): string[] {
  return needed.filter((path) => !/^(?:@|\/usr\/lib\/|\/System\/Library\/)/.test(path));
}

/** The files of the build directory that this build writes. */
export function macosFiles({ libraries }: MacosPlan): string[] {
  return [...libraries, OWN_FILES.record];
}
