// SPDX-License-Identifier: Apache-2.0

/** What a build of libkrun was asked for: the flags and the environment, checked, as one value. */

import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { isFile } from '../../fs/atomic-write.ts';
import { type Arch, type Host, thisHost } from '../../host.ts';
import { PRODUCT } from '../../product.ts';
import { buildDirectory } from '../local-build.ts';
import { readVersions } from '../versions.ts';

/** A git repository that is built from. */
export interface Source {
  readonly name: 'libkrunfw' | 'libkrun';
  /** Absolute. */
  readonly directory: string;
  /** A commit, a tag or a branch. */
  readonly ref: string;
}

export interface LibkrunConfig {
  /** The checkout, absolute. */
  readonly root: string;
  /** The build directory, absolute. */
  readonly directory: string;
  readonly firmware: Source;
  readonly library: Source;
  readonly arch: Arch;
  /** What the kernel gets on top of libkrunfw's configuration; `undefined` where the checkout has nothing. */
  readonly fragment: string | undefined;
  /** The oldest cargo that can build libkrun. */
  readonly minCargo: string;
  /** The user's directory of libclang, absolute. */
  readonly libclang: string | undefined;
  /** Whether missing packages of the system are installed. */
  readonly installDeps: boolean;
  readonly isRoot: boolean;
  readonly jobs: number;
}

/** This machine, as values for tests. */
export interface BuildHost extends Host {
  readonly isRoot: boolean;
  readonly cpus: number;
}

export function thisBuildHost(): BuildHost {
  return { ...thisHost(), isRoot: process.geteuid?.() === 0, cpus: availableParallelism() };
}

/**
 * Resolves the configuration.
 * @throws usageError for any wrong value, a `pins.env` that cannot be read, or a machine that it cannot be built on
 */
export function resolveLibkrunConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { arch, cpus: jobs, isRoot, platform }: BuildHost,
  installDeps: boolean,
): LibkrunConfig {
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
  if (/[\s:]/.test(directory)) {
    throw usageError(
      `the kernel cannot be built below ${shown(root)}: its Makefile takes no path with a blank or a colon; ` +
        'set OPENSHELL_ROOT to another checkout',
    );
  }
  if (arch === undefined) throw usageError('this machine is neither amd64 nor arm64; libkrun needs one of them');
  return {
    ...{ root, directory, arch, minCargo, libclang, installDeps, isRoot, jobs },
    firmware: sourceIn(directory, 'libkrunfw', versions.LIBKRUNFW_REF),
    library: sourceIn(directory, 'libkrun', versions.LIBKRUN_REF),
    fragment: isFile(fragment) ? fragment : undefined,
  };
}

/** A source in the build directory. */
export function sourceIn(directory: string, name: Source['name'], ref: string): Source {
  return { name, directory: join(directory, name), ref };
}
