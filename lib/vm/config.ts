// SPDX-License-Identifier: Apache-2.0

/** What a VM bundle was asked for: the flag and the environment, checked, as one value. */

import { join } from 'node:path';
import { choiceOf, type Environment, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Arch, archOf, type Host } from '../host.ts';
import { resolveStageConfig, STAGE_VARIABLES, type StageConfig, SUPERVISOR_LIBCS } from '../stage/config.ts';
import { BUNDLE_FILE } from './runtime-files.ts';

/** The words for the guest's machine. */
export const GUEST_ARCHES = ['aarch64', 'arm64', 'x86_64', 'amd64'] as const;

/** Environment variables of the bundle, beside those of staging. */
export const BUNDLE_VARIABLES = {
  directory: 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR',
  arch: 'GUEST_ARCH',
} as const;

export interface BundleConfig {
  /** The checkout, absolute. */
  readonly root: string;
  /** The guest's machine. */
  readonly arch: Arch;
  /** The runtime's directory, absolute: the driver's build has to be given the same. */
  readonly directory: string;
  /** The bundle in it. */
  readonly path: string;
  /** How the supervisor is built: as in staging, for one architecture and without a place to stage it. */
  readonly build: StageConfig;
}

/**
 * Resolves the configuration of a bundle. Order for the guest's machine: the flag, then
 * `GUEST_ARCH`, then this machine's. Without `SUPERVISOR_LIBC` the supervisor is dynamic (gnu).
 *
 * @param archFlag the value of `--arch`, one of `GUEST_ARCHES`
 * @throws usageError for any wrong value, used or not
 */
export function resolveBundleConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
  archFlag?: string,
): BundleConfig {
  const arch = guestArch(env, host, archFlag);
  // The platforms of an image build have nothing to do with the guest.
  const own: Environment = { ...env, [STAGE_VARIABLES.arch]: arch, [STAGE_VARIABLES.platforms]: undefined };
  const build = resolveStageConfig('supervisor', own, root, startDirectory, host);
  const directory = runtimeDirectory(env, root, startDirectory);
  return {
    root,
    arch,
    directory,
    path: join(directory, BUNDLE_FILE),
    build: { ...build, libc: choiceOf(env, STAGE_VARIABLES.libc, SUPERVISOR_LIBCS) ?? 'gnu' },
  };
}

/** The driver's build script tells cargo the directory in a line, so a path with a line break cannot pass. */
function runtimeDirectory(env: Environment, root: string, startDirectory: string): string {
  const named = textOf(env, BUNDLE_VARIABLES.directory) ?? join(root, 'target/vm-runtime-compressed');
  const directory = absolutePath(startDirectory, named);
  if (!/[\r\n]/.test(directory)) return directory;
  throw usageError(
    `the directory of the VM runtime is ${shown(directory)}, and cargo cannot be told a path with a line break; ` +
      `set ${BUNDLE_VARIABLES.directory} to another one`,
  );
}

function guestArch(env: Environment, host: Host, archFlag: string | undefined): Arch {
  const named = textOf(env, BUNDLE_VARIABLES.arch);
  const ofEnvironment = named === undefined ? undefined : knownArch(BUNDLE_VARIABLES.arch, named);
  if (archFlag !== undefined) return knownArch('--arch', archFlag);
  const arch = ofEnvironment ?? host.arch;
  if (arch !== undefined) return arch;
  throw usageError(
    'this machine is neither amd64 nor arm64, and the guest is of its kind; VM sandboxes need one of them',
  );
}

function knownArch(source: string, word: string): Arch {
  const arch = GUEST_ARCHES.some((known) => known === word) ? archOf(word) : undefined;
  if (arch !== undefined) return arch;
  throw usageError(`${source} is ${shown(word)}; allowed are ${GUEST_ARCHES.join(', ')}; change it or leave it out`);
}
