// SPDX-License-Identifier: Apache-2.0

/** The plan of a VM bundle, from the flag and the environment: what it is built from, written to, and printed of it. */

import { join } from 'node:path';
import type { Runner } from '../../build-env.ts';
import { type Environment, readVariable } from '../../cli/env.ts';
import { usageError } from '../../errors.ts';
import type { Change } from '../../fs/atomic-write.ts';
import { files, type Place } from '../../fs/writable-places.ts';
import { archOf, type Host } from '../../host.ts';
import { COMPONENTS } from '../../product.ts';
import { type BuildOptions, resolveBuildOptions } from '../../stage/config.ts';
import { type Artifact, artifactsOf, buildPlaces, type PreparedStage } from '../../stage/plan.ts';
import { CHECKS, dryRunLines } from '../../stage/report.ts';
import { BUNDLE_FILE, DIRECTORY_REMEDY, runtimeDirectory, runtimeLock } from '../runtime-files.ts';

export type BundleConfig = ReturnType<typeof resolveBundleConfig>;

/** A bundle that is ready to be embedded. */
export interface Bundle {
  readonly change: Change;
  /** What was verified, or how it was built, for users. */
  readonly text: string;
}

/** A bundle that is planned: nothing but probes has been started. */
export interface PreparedBundle {
  readonly config: BundleConfig;
  /** What it is built from, or a verified one of an earlier run where nothing can be built. */
  readonly source: { readonly stage: PreparedStage } | Bundle;
}

/**
 * Resolves the configuration. Order for the guest's machine: the flag, then `GUEST_ARCH`, then this machine's.
 * @throws usageError for any wrong value, used or not
 */
export function resolveBundleConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
  archFlag?: string,
) {
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
  // The driver's build has to be given the same.
  const directory = runtimeDirectory(env, root, startDirectory);
  return { directory, path: join(directory, BUNDLE_FILE), stage, artifact };
}

/** What is written; nothing where an existing bundle is used. */
export function bundlePlaces({ config, source }: PreparedBundle): Place[] {
  if (!('stage' in source)) return [];
  return [
    { kind: 'directory', path: config.directory, remedy: DIRECTORY_REMEDY },
    { kind: 'opened', ...runtimeLock(config.directory) },
    ...files(config.path),
    ...buildPlaces(source.stage.plan),
  ];
}

/** The plan: the commands in their order, ready to paste, and the file that is written. A dry run plans a build. */
export function bundleDryRunLines(runner: Runner, { config, source }: PreparedBundle): string[] {
  if (!('stage' in source)) return [];
  const place = ({ check }: Artifact) => `compresses it to ${config.path} where its content is new (${CHECKS[check]})`;
  return dryRunLines(runner, source.stage, place);
}

/** A date for users: `2026-11-24 18:03`, in the time of this machine. */
export function dayOf(date: Date): string {
  // Swedish dates are those of ISO 8601.
  return date.toLocaleString('sv-SE', { dateStyle: 'short', timeStyle: 'short' });
}
