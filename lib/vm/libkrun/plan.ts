// SPDX-License-Identifier: Apache-2.0

/** The commands of a build of libkrun, and the files that it leaves. */

import { delimiter, join } from 'node:path';
import { MESSAGE_FORMAT } from '../../cargo/metadata.ts';
import { files, type Place } from '../../fs/writable-places.ts';
import type { Arch } from '../../host.ts';
import { type Command, cmd } from '../../process/command.ts';
import type { LibkrunConfig } from './config.ts';
import { markerOf } from './leftovers.ts';
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

/** What the kernel's own build calls an architecture, and where it leaves the kernel. */
export const KERNEL: Readonly<Record<Arch, { readonly arch: string; readonly image: string }>> = {
  amd64: { arch: 'x86', image: 'arch/x86/boot/bzImage' },
  arm64: { arch: 'arm64', image: 'arch/arm64/boot/Image' },
};

/** The name that the fragment has in libkrunfw's directory. */
export const FRAGMENT = 'openshell.kconfig';

/** Files of the build directory that are ours: see kernel.ts and artifacts.ts. */
export const OWN_FILES = { stamp: '.kernel.json', preparing: '.kernel-preparing', record: 'build.json' } as const;

/** The programs that stand before those of PATH. */
export function shimDirectory({ directory }: LibkrunConfig): string {
  return join(directory, 'shims');
}

/** Settings of other builds of kernels, which would make this one another. */
const FOREIGN = {
  ...{ ARCH: undefined, CROSS_COMPILE: undefined, KBUILD_OUTPUT: undefined, KCONFIG_CONFIG: undefined },
  // libkrunfw's own, for a kernel of another kind.
  ...{ SEV: undefined, TDX: undefined },
};

interface KernelCommands {
  readonly forgetDownload: Command;
  readonly remove: Command;
  readonly prepare: Command;
  readonly merge: Command;
  readonly complete: Command;
  readonly build: Command;
}

/** The commands that build libkrunfw, in its directory. */
export function kernelCommands({ config, tools, path }: PreparedLibkrun, kernel: string): KernelCommands {
  const { arch } = KERNEL[config.arch];
  const shims = tools?.python === undefined ? {} : { PATH: [shimDirectory(config), path].join(delimiter) };
  const place = {
    cwd: config.firmware.directory,
    base: { ...FOREIGN, ...shims, ...markerOf(config.directory) },
    asInvoker: true,
  };
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
  const marker = markerOf(config.directory);
  return {
    init: cmd({ cwd, base: marker, asInvoker: true })`make init/init`,
    build: cmd({
      cwd,
      env,
      base: { ...tools?.cargo.base, ...marker },
    })`cargo build --release --locked --features blk --features net --target-dir=${join(cwd, 'target')} ${MESSAGE_FORMAT}`,
  };
}

/** Whether libkrun's Makefile names `init/init`, and not only `init/init.c` or `init/init-freebsd`. */
export function hasInitRule(makefile: string): boolean {
  return /(?:^|\s)init\/init(?=\s|:|$)/m.test(makefile);
}

/** One build at a time in a checkout. */
export function buildLock(directory: string): string {
  return join(directory, '.build.lock');
}

/** What is written. */
export function libkrunPlaces(directory: string, names: readonly string[]): Place[] {
  const remedy = 'set OPENSHELL_ROOT to another checkout';
  return [{ kind: 'directory', path: directory, remedy }, ...files(...names.map((name) => join(directory, name)))];
}

/** The files whose names are known before the build; the names of libkrunfw are those of its Makefile. */
export const LINUX_FILES = ['libkrun.so', 'kernel.c', 'ABI_VERSION', ...Object.values(OWN_FILES)];
