// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun on macOS was asked for: the flags and the environment, checked, as one value. */

import { join } from 'node:path';
import { type Environment, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { isFile } from '../../fs/atomic-write.ts';
import { absolutePath, contentOf } from '../../fs/paths.ts';
import { type BuildHost, type Source, sourceIn } from '../libkrun/config.ts';
import { isAbi } from '../libkrun/kernel.ts';
import { buildDirectory } from '../local-build.ts';
import { readVersions } from '../versions.ts';

/** The flags of the task. */
export interface MacosFlags {
  readonly kernelDirectory: string | undefined;
  /** Whether a library that needs what other machines do not have fails the build. */
  readonly isStrict: boolean;
}

export interface MacosConfig {
  /** The checkout, absolute. */
  readonly root: string;
  /** The build directory, absolute. */
  readonly directory: string;
  readonly library: Source;
  /** The kernel that a build on Linux for arm64 has left as C. */
  readonly kernelSource: string;
  /** The number in the names of libkrunfw's libraries. */
  readonly abi: string;
  readonly isStrict: boolean;
  /** What the user has set, for the linker and the loader. */
  readonly libraryPath: string | undefined;
  readonly loaderPath: string | undefined;
  readonly jobs: number;
}

/** What the driver embeds: `libkrunfw.5.dylib`. */
export const EMBEDDED_ABI = '5';

/**
 * Resolves the configuration.
 * @throws usageError for a wrong value, another machine than an Apple Silicon Mac, or a kernel that is not there
 */
export function resolveMacosConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { arch, cpus: jobs, platform }: BuildHost,
  { kernelDirectory, isStrict }: MacosFlags,
): MacosConfig {
  const { LIBKRUN_REF } = readVersions(env, root, ['LIBKRUN_REF']);
  const libraryPath = textOf(env, 'LIBRARY_PATH');
  const loaderPath = textOf(env, 'DYLD_LIBRARY_PATH');
  if (platform !== 'darwin') {
    throw usageError(`this builds on macOS only, and this is ${platform}; on Linux use tasks/vm/build-libkrun.ts`);
  }
  if (arch !== 'arm64') throw usageError('libkrun runs on Macs with Apple Silicon only, and this is another one');
  if (kernelDirectory === undefined || kernelDirectory === '') {
    throw usageError('--kernel-dir is missing; give the directory with kernel.c and ABI_VERSION of a build for arm64');
  }
  const kernel = absolutePath(startDirectory, kernelDirectory);
  for (const name of ['kernel.c', 'ABI_VERSION']) {
    if (isFile(join(kernel, name))) continue;
    throw usageError(`--kernel-dir is ${shown(kernelDirectory)}, which has no ${name}; build it on Linux for arm64`);
  }
  const abi = contentOf(join(kernel, 'ABI_VERSION')).toString().trim();
  if (!isAbi(abi)) {
    const path = join(kernel, 'ABI_VERSION');
    throw usageError(`${path} is ${shown(abi)}; allowed is a number such as ${EMBEDDED_ABI}; build the kernel again`);
  }
  const directory = buildDirectory(root);
  return {
    ...{ root, directory, abi, isStrict, libraryPath, loaderPath, jobs },
    library: sourceIn(directory, 'libkrun', LIBKRUN_REF),
    kernelSource: join(kernel, 'kernel.c'),
  };
}
