// SPDX-License-Identifier: Apache-2.0

/** The plan of a build of libkrun: its commands, the files that it leaves, and what is printed of them. */

import { delimiter, dirname, join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { toolchainLines } from '../../cargo/find-toolchain.ts';
import { MESSAGE_FORMAT } from '../../cargo/metadata.ts';
import { files, type Place } from '../../fs/writable-places.ts';
import { type Command, cmd, shellQuote } from '../../process/command.ts';
import { BUILD_RECORD } from '../local-build.ts';
import type { LibkrunConfig, Source } from './config.ts';
import { sourceCommands } from './sources.ts';
import type { findTools } from './tools.ts';

/** A build that is planned: nothing but probes has been started. */
export interface PreparedLibkrun {
  readonly config: LibkrunConfig;
  /** What installs missing packages, before anything else. */
  readonly installs: readonly Command[];
  /** Marks while packages are missing. */
  readonly tools: Awaited<ReturnType<typeof findTools>>;
}

/** The name that the fragment has in libkrunfw's directory. */
export const FRAGMENT = 'openshell.kconfig';
/** What the tree of the kernel was made from, in the build directory. */
export const STAMP_FILE = '.kernel.json';
/** The python that stands before those of PATH. */
export const SHIM = 'shims/python3';
/** The files whose names are known before the build; the names of libkrunfw are those of its Makefile. */
export const LINUX_FILES = ['libkrun.so', 'kernel.c', 'ABI_VERSION', STAMP_FILE, SHIM];
/** Stands for the kernel, which only the Makefile of libkrunfw names. */
const SOME_KERNEL = 'linux-VERSION';

/** The commands that build libkrunfw, in its directory. */
export function kernelCommands({ config }: Pick<PreparedLibkrun, 'config'>, kernel: string) {
  const arch = { amd64: 'x86', arm64: 'arm64' }[config.arch];
  const PATH = [join(config.directory, dirname(SHIM)), config.path].join(delimiter);
  // Settings of other builds of kernels would make this one another.
  const base = { ARCH: undefined, CROSS_COMPILE: undefined, KBUILD_OUTPUT: undefined, KCONFIG_CONFIG: undefined, PATH };
  const place = { cwd: config.firmware.directory, base, asInvoker: true };
  const command = cmd(place);
  const merged = cmd({ ...place, env: { ARCH: arch, KCONFIG_CONFIG: `${kernel}/.config` } });
  return {
    forgetDownload: command`rm -rf tarballs`,
    remove: command`rm -rf ${kernel}`,
    prepare: command`make ${kernel}`,
    merge: merged`${kernel}/scripts/kconfig/merge_config.sh -m -O ${kernel} ${kernel}/.config ${FRAGMENT}`,
    complete: command`make -C ${kernel} ARCH=${arch} olddefconfig`,
    build: command`make -j${config.jobs}`,
  };
}

/** The commands that build libkrun, in its directory. */
export function libraryCommands({ config, tools }: PreparedLibkrun) {
  const cwd = config.library.directory;
  const base = { ...tools.cargo, CARGO_BUILD_TARGET: undefined };
  const cargo = cmd({ cwd, base, env: { LIBCLANG_PATH: tools.libclang } });
  const options = ['--release', '--locked', '--features', 'blk', '--features', 'net'];
  return {
    init: cmd({ cwd, asInvoker: true })`make init/init`,
    build: cargo`cargo build ${options} --target-dir=${join(cwd, 'target')} ${MESSAGE_FORMAT}`,
  };
}

/** Whether libkrun's Makefile names `init/init`, and not only `init/init.c` or `init/init-freebsd`. */
export function hasInitRule(makefile: string): boolean {
  return /(?:^|\s)init\/init(?=\s|:|$)/m.test(makefile);
}

/** What another build in the same checkout waits for. */
export function buildLock(directory: string) {
  return {
    path: join(directory, '.build.lock'),
    remedy: 'set OPENSHELL_ROOT to a checkout on another file system',
    task: 'build libkrun',
    other: 'another build of libkrun in this checkout',
  };
}

/** What is written. */
export function libkrunPlaces(directory: string, names: readonly string[]): Place[] {
  const remedy = 'set OPENSHELL_ROOT to another checkout';
  const paths = [...names, BUILD_RECORD].map((name) => join(directory, name));
  return [{ kind: 'directory', path: directory, remedy }, ...files(...paths)];
}

/** The plan: the commands in their order, ready to paste, and the files that are written. */
export function libkrunDryRunLines(runner: Runner, prepared: PreparedLibkrun): string[] {
  const { config, installs, tools } = prepared;
  const { directory, firmware, fragment, library } = config;
  const describe = runner.describe.bind(runner);
  const kernel = kernelCommands(prepared, SOME_KERNEL);
  const { build, init } = libraryCommands(prepared);
  const merge =
    fragment === undefined ? [] : [`cp ${shellQuote(fragment)} .`, ...[kernel.merge, kernel.complete].map(describe)];
  return [
    ...installs.map(describe),
    ...sourceLines(runner, firmware),
    `# ${SOME_KERNEL} stands for the kernel that the Makefile names; its tree is kept where it was made from the same`,
    `cd ${shellQuote(firmware.directory)}`,
    `export PATH=${shellQuote(join(directory, dirname(SHIM)))}:"$PATH"`,
    ...[kernel.remove, kernel.prepare].map(describe),
    ...merge,
    describe(kernel.build),
    ...sourceLines(runner, library),
    `cd ${shellQuote(library.directory)}`,
    `# where there is an init/Makefile: ${describe(init)}`,
    ...toolchainLines({ env: tools.cargo, isFromMise: false }, config.root),
    describe(build),
    ...[...LINUX_FILES, BUILD_RECORD].map((name) => `# writes ${join(directory, name)}`),
    `# and libkrunfw.so* beside them, as its Makefile names it`,
  ];
}

/** What gets a source. */
export function sourceLines(runner: Runner, source: Source): string[] {
  const { checkout, fetch, init } = sourceCommands(source);
  return [
    `# ${source.name} ${source.ref}, where it is not there already`,
    `mkdir -p ${shellQuote(source.directory)}`,
    ...[init, fetch, checkout].map((command) => runner.describe(command)),
  ];
}
