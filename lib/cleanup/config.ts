// SPDX-License-Identifier: Apache-2.0

/** What a clean-up was asked for: flags and environment, checked, as one value. */

import { type Environment, readVariable } from '../cli/env.ts';
import { VARIABLES } from '../cli/variables.ts';
import { verifyTag } from '../image/reference.ts';

export type CleanupFlags = Readonly<
  Record<'all-projects' | 'volumes' | 'skip-cache' | 'yes' | 'force' | 'dry-run', boolean>
>;

export interface CleanupConfig {
  /** Whether what is not OpenShell's is removed as well. */
  readonly isForAll: boolean;
  readonly hasVolumes: boolean;
  /** Whether the build cache is removed, which all projects share. */
  readonly hasCache: boolean;
  /** The tags of OpenShell's images that builds and launches use. */
  readonly tags: readonly string[];
}

/** @throws usageError for a wrong tag */
export function resolveCleanupConfig(flags: CleanupFlags, env: Environment): CleanupConfig {
  const isForAll = flags['all-projects'];
  const tag = verifyTag('IMAGE_TAG', readVariable(env, 'IMAGE_TAG'));
  const tags = [...new Set([VARIABLES.IMAGE_TAG.default, tag])];
  return { isForAll, hasVolumes: flags.volumes, hasCache: isForAll && !flags['skip-cache'], tags };
}
