// SPDX-License-Identifier: Apache-2.0

/** What a VM bundle was asked for: the flag and the environment, checked, as one value. */

import { join } from 'node:path';
import { type Environment, readVariable } from '../../cli/env.ts';
import { usageError } from '../../errors.ts';
import { archOf, type Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { type BuildOptions, resolveBuildOptions, type StageConfig } from '../../stage/config.ts';
import { type Artifact, artifactsOf } from '../../stage/plan.ts';
import { BUNDLE_FILE, runtimeDirectory } from '../runtime-files.ts';

export interface BundleConfig {
  /** The runtime's directory, absolute: the driver's build has to be given the same. */
  readonly directory: string;
  /** The bundle in it. */
  readonly path: string;
  /** How the supervisor is built: as in staging, for the guest's machine. */
  readonly stage: StageConfig;
  /** The supervisor, which is not staged. */
  readonly artifact: Artifact;
}

/**
 * Resolves the configuration of a bundle. Order for the guest's machine: the flag, then `GUEST_ARCH`, then this
 * machine's. Without `SUPERVISOR_LIBC` the supervisor is dynamic (gnu).
 * @param archFlag the value of `--arch`, one of the choices of `GUEST_ARCH`
 * @throws usageError for any wrong value, used or not
 */
export function resolveBundleConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
  archFlag?: string,
): BundleConfig {
  const variable = readVariable(env, 'GUEST_ARCH');
  const arch = archOf(archFlag ?? variable ?? '') ?? host.arch;
  if (arch === undefined) {
    throw usageError(
      'this machine is neither amd64 nor arm64, and the guest is of its kind; VM sandboxes need one of them',
    );
  }
  const libc: BuildOptions['libc'] = readVariable(env, 'SUPERVISOR_LIBC') ?? 'gnu';
  const build = { ...resolveBuildOptions(env, startDirectory), libc };
  const stage = { root, host, components: [COMPONENTS.supervisor], arches: [arch], build };
  const [artifact] = artifactsOf(stage) as [Artifact];
  const directory = runtimeDirectory(env, root, startDirectory);
  return { directory, path: join(directory, BUNDLE_FILE), stage, artifact };
}
