// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun was asked for: the flags and the environment, checked, as one value. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { usageError } from '../../errors.ts';
import { isFile } from '../../fs/atomic-write.ts';
import type { Host } from '../../host.ts';
import { PRODUCT } from '../../product.ts';
import { buildDirectory } from '../local-build.ts';
import { readVersions } from '../versions.ts';

export type Source = ReturnType<typeof sourceIn>;
export type LibkrunConfig = ReturnType<typeof resolveLibkrunConfig>;

/** @throws usageError for any wrong value, a `pins.env` that cannot be read, or a machine that it cannot be built on */
export function resolveLibkrunConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { arch, platform }: Host,
  installDeps: boolean,
) {
  const versions = readVersions(env, root, ['LIBKRUNFW_REF', 'LIBKRUN_REF']);
  const directory = buildDirectory(root);
  const fragment = join(root, PRODUCT.kernelFragment);
  const minCargo = readVariable(env, 'LIBKRUN_MIN_CARGO_VERSION');
  if (!/^\d+(?:\.\d+){0,2}$/.test(minCargo)) {
    throw notAllowed('LIBKRUN_MIN_CARGO_VERSION', minCargo, 'is a version such as 1.85');
  }
  const libclang = readPath(env, 'LIBCLANG_PATH', startDirectory);
  if (platform !== 'linux') {
    throw usageError(
      `libkrun is built here on Linux only, and this is ${platform}; on macOS use tasks/vm/build-libkrun-macos.ts`,
    );
  }
  if (arch === undefined) throw usageError('this machine is neither amd64 nor arm64; libkrun needs one of them');
  return {
    ...{ root, directory, arch, minCargo, libclang, installDeps },
    firmware: sourceIn(directory, 'libkrunfw', versions.LIBKRUNFW_REF),
    library: sourceIn(directory, 'libkrun', versions.LIBKRUN_REF),
    /** What the kernel gets on top of libkrunfw's configuration; `undefined` where the checkout has nothing. */
    fragment: isFile(fragment) ? fragment : undefined,
    isRoot: process.geteuid?.() === 0,
    path: env.PATH ?? '',
    jobs: availableParallelism(),
  };
}

/** A git repository in the build directory; the ref is a whole commit, a tag or a branch. */
export function sourceIn(directory: string, name: 'libkrunfw' | 'libkrun', ref: string) {
  return { name, directory: join(directory, name), ref };
}
