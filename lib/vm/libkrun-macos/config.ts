// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun on macOS was asked for: the flags and the environment, checked, as one value. */

import { delimiter, join } from 'node:path';
import { type Environment, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { isFile } from '../../fs/atomic-write.ts';
import { absolutePath, contentOf } from '../../fs/paths.ts';
import { type BuildHost, buildDirectory, type Source, sourceOf } from '../libkrun/config.ts';
import { isAbi } from '../libkrun/kernel.ts';
import { readVersions } from '../versions.ts';

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
  /** Whether a library that needs what other machines do not have fails the build. */
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
 * @param kernelDirectory the value of `--kernel-dir`
 * @throws usageError for a wrong value, another machine than an Apple Silicon Mac, or a kernel that is not there
 */
export function resolveMacosConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { arch, cpus, platform }: BuildHost,
  { kernelDirectory, isStrict }: { readonly kernelDirectory: string | undefined; readonly isStrict: boolean },
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
  const directory = buildDirectory(root);
  if (directory.includes(delimiter)) {
    throw usageError(
      `libkrun cannot be linked below ${shown(root)}: LIBRARY_PATH takes no path with a colon; ` +
        'set OPENSHELL_ROOT to another checkout',
    );
  }
  return {
    root,
    directory,
    library: sourceOf(directory, 'libkrun', 'LIBKRUN_REF', LIBKRUN_REF),
    kernelSource: join(kernel, 'kernel.c'),
    abi: abiIn(join(kernel, 'ABI_VERSION')),
    isStrict,
    libraryPath,
    loaderPath,
    jobs: cpus,
  };
}

function abiIn(path: string): string {
  const text = contentOf(path).toString().trim();
  if (isAbi(text)) return text;
  throw usageError(`${path} is ${shown(text)}; allowed is a number such as ${EMBEDDED_ABI}; build the kernel again`);
}
