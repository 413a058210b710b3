// SPDX-License-Identifier: Apache-2.0

/** The plan of a build of libkrun on macOS. Libraries are linked and signed in a directory that nobody reads. */

import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { type Environment, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { isFile } from '../../fs/atomic-write.ts';
import { absolutePath, contentOf } from '../../fs/paths.ts';
import type { Host } from '../../host.ts';
import { type Command, cmd, shellQuote } from '../../process/command.ts';
import { sourceIn } from '../libkrun/config.ts';
import { sourceLines } from '../libkrun/plan.ts';
import { BUILD_RECORD, buildDirectory } from '../local-build.ts';
import { readVersions } from '../versions.ts';

export type MacosConfig = ReturnType<typeof resolveMacosConfig>;
export type MacosPlan = ReturnType<typeof planMacos>;

/** The flags of the task. */
export interface MacosFlags {
  readonly kernelDirectory: string | undefined;
  /** Whether a library that needs what other machines do not have fails the build. */
  readonly isStrict: boolean;
}

/** What the driver embeds: `libkrunfw.5.dylib`. */
export const EMBEDDED_ABI = '5';
const LIBRARY = 'libkrun.dylib';
const FIRMWARE = 'libkrunfw.dylib';

/** @throws usageError for a wrong value, another machine than an Apple Silicon Mac, or a kernel that is not there */
export function resolveMacosConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { arch, platform }: Host,
  { kernelDirectory = '', isStrict }: MacosFlags,
) {
  const { LIBKRUN_REF } = readVersions(env, root, ['LIBKRUN_REF']);
  const [libraryPath, loaderPath] = [textOf(env, 'LIBRARY_PATH'), textOf(env, 'DYLD_LIBRARY_PATH')];
  if (platform !== 'darwin') {
    throw usageError(`this builds on macOS only, and this is ${platform}; on Linux use tasks/vm/build-libkrun.ts`);
  }
  if (arch !== 'arm64') throw usageError('libkrun runs on Macs with Apple Silicon only, and this is another one');
  if (kernelDirectory === '') {
    throw usageError('--kernel-dir is missing; give the directory with kernel.c and ABI_VERSION of a build for arm64');
  }
  const [kernelSource, abiFile] = ['kernel.c', 'ABI_VERSION'].map((name) => {
    const path = join(absolutePath(startDirectory, kernelDirectory), name);
    if (isFile(path)) return path;
    throw usageError(`--kernel-dir is ${shown(kernelDirectory)}, which has no ${name}; build it on Linux for arm64`);
  }) as [string, string];
  const abi = contentOf(abiFile).toString().trim();
  if (!/^\d+$/.test(abi)) {
    throw usageError(
      `${abiFile} is ${shown(abi)}; allowed is a number such as ${EMBEDDED_ABI}; build the kernel again`,
    );
  }
  const directory = buildDirectory(root);
  return {
    ...{ root, directory, kernelSource, abi, isStrict, libraryPath, loaderPath },
    library: sourceIn(directory, 'libkrun', LIBKRUN_REF),
  };
}

/** @param hasLlvm whether Homebrew, which is at `brew`, has LLVM, whose libclang bindgen takes */
export function planMacos(config: MacosConfig, brew: string, hasLlvm: boolean) {
  const { abi, directory, kernelSource, library, libraryPath = '', loaderPath = '' } = config;
  const work = join(directory, 'dylibs');
  const versioned = `libkrunfw.${abi}.dylib`;
  // Its own Makefile starts cargo, and looks where that puts things by itself. It cleans there, too.
  const target = { CARGO_TARGET_DIR: join(library.directory, 'target') };
  const place = { cwd: library.directory, base: { CARGO_BUILD_TARGET: undefined }, asInvoker: true };
  const places = [work, join(brew, 'lib')];
  const llvm = hasLlvm ? [join(brew, 'opt/llvm/lib')] : [];
  // First what has just been built. An empty part would be the current directory.
  const joined = (...parts: readonly string[]) => parts.filter((part) => part !== '').join(delimiter);
  const env = {
    ...target,
    LIBRARY_PATH: joined(...places, ...libraryPath.split(delimiter)),
    DYLD_LIBRARY_PATH: joined(...llvm, ...places, ...loaderPath.split(delimiter)),
    ...(llvm[0] === undefined ? {} : { LIBCLANG_PATH: llvm[0] }),
  };
  const compiler = cmd({ cwd: directory, asInvoker: true });
  return {
    config,
    /** The directory of the libraries while they are not done. */
    work,
    /** The names of the libraries: libkrun's, libkrunfw's, and that with its version. */
    libraries: [LIBRARY, FIRMWARE, versioned] as const,
    /** What cargo leaves. */
    built: join(library.directory, 'target/release', LIBRARY),
    compile: compiler`cc -fPIC -DABI_VERSION=${abi} -shared -o ${join(work, versioned)} ${kernelSource}`,
    clean: cmd({ ...place, env: target })`make clean`,
    build: cmd({ ...place, env })`make BLK=1 NET=1 -j${availableParallelism()}`,
  };
}

/** The command that lists what a library needs. */
export function listNeeded({ work }: MacosPlan, name: string): Command {
  return cmd({ cwd: work, asInvoker: true })`otool -L ${join(work, name)}`;
}

/** What makes a library, which needs those, independent of its place, and signs it again: a change ends a signature. */
export function portableCommands({ work }: MacosPlan, name: string, needed: readonly string[]): Command[] {
  const path = join(work, name);
  const command = cmd({ cwd: work, asInvoker: true });
  const firmware = name === LIBRARY ? needed.filter((one) => one.includes('libkrunfw')) : [];
  return [
    command`install_name_tool -id @loader_path/${name} ${path}`,
    ...firmware.map((old) => command`install_name_tool -change ${old} @loader_path/${FIRMWARE} ${path}`),
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

/** The plan: the commands in their order, ready to paste, and the files that are written. */
export function macosDryRunLines(runner: Runner, plan: MacosPlan): string[] {
  const { build, built, clean, compile, config, libraries, work } = plan;
  const [, plain, versioned] = libraries;
  const describe = runner.describe.bind(runner);
  const copy = (from: string, to: string) => `cp ${shellQuote(from)} ${shellQuote(join(work, to))}`;
  return [
    `mkdir -p ${shellQuote(work)}`,
    describe(compile),
    copy(join(work, versioned), plain),
    ...sourceLines(runner, config.library),
    `cd ${shellQuote(config.library.directory)}`,
    describe(clean),
    describe(build),
    copy(built, LIBRARY),
    '# where libkrun.dylib names a libkrunfw, that becomes the one beside it',
    ...libraries.flatMap((one) => [...portableCommands(plan, one, []), listNeeded(plan, one)].map(describe)),
    ...[...libraries, BUILD_RECORD].map((one) => `# writes ${join(config.directory, one)}`),
  ];
}
