// SPDX-License-Identifier: Apache-2.0

/** The commands of a build of libkrun, and the files that it leaves. */

import { delimiter, dirname, join } from 'node:path';
import { MESSAGE_FORMAT } from '../../cargo/metadata.ts';
import { files, type Place } from '../../fs/writable-places.ts';
import { type Command, cmd } from '../../process/command.ts';
import { BUILD_RECORD } from '../local-build.ts';
import type { LibkrunConfig } from './config.ts';
import type { LibkrunTools } from './tools.ts';

/** A build that is planned: nothing but probes has been started. */
export interface PreparedLibkrun {
  readonly config: LibkrunConfig;
  /** What installs missing packages, before anything else. */
  readonly installs: readonly Command[];
  /** `undefined` while packages are missing. */
  readonly tools: LibkrunTools | undefined;
  /** The PATH of the task. */
  readonly path: string;
}

/** The name that the fragment has in libkrunfw's directory. */
export const FRAGMENT = 'openshell.kconfig';

/** What the tree of the kernel was made from, in the build directory. */
export const STAMP_FILE = '.kernel.json';

/** The python that stands before those of PATH. */
export const SHIM = 'shims/python3';

/** Settings of other builds of kernels, which would make this one another; the last two are libkrunfw's own. */
const FOREIGN = {
  ...{ ARCH: undefined, CROSS_COMPILE: undefined, KBUILD_OUTPUT: undefined, KCONFIG_CONFIG: undefined },
  ...{ SEV: undefined, TDX: undefined },
};

/** The commands that build libkrunfw, in its directory. */
export function kernelCommands({ config, path }: PreparedLibkrun, kernel: string) {
  const arch = { amd64: 'x86', arm64: 'arm64' }[config.arch];
  const base = { ...FOREIGN, PATH: [join(config.directory, dirname(SHIM)), path].join(delimiter) };
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
export function libraryCommands({ config, tools }: PreparedLibkrun): { init: Command; build: Command } {
  const cwd = config.library.directory;
  const env = tools === undefined ? {} : { LIBCLANG_PATH: tools.libclang };
  const base = { ...tools?.cargo, CARGO_BUILD_TARGET: undefined };
  const target = join(cwd, 'target');
  return {
    init: cmd({ cwd, asInvoker: true })`make init/init`,
    build: cmd({
      ...{ cwd, env, base },
    })`cargo build --release --locked --features blk --features net --target-dir=${target} ${MESSAGE_FORMAT}`,
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

/** The files whose names are known before the build; the names of libkrunfw are those of its Makefile. */
export const LINUX_FILES = ['libkrun.so', 'kernel.c', 'ABI_VERSION', STAMP_FILE, SHIM];
