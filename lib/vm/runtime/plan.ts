// SPDX-License-Identifier: Apache-2.0

/** What a runtime is set up from, decided: nothing has been downloaded, built or written. */

import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { shown, usageError } from '../../errors.ts';
import { buildDirectory } from '../local-build.ts';
import { PLATFORMS, type RuntimeDefect, runtimeDefects, type VmPlatform } from '../runtime-files.ts';
import { findLibraries, isRegularFile } from './collect.ts';
import type { ProvenanceSettings, RuntimeConfig } from './config.ts';
import { pinsOf, readPins, unpinned } from './pins.ts';
import { verifyReplaceable } from './stage.ts';
import { trustDefects } from './trust.ts';

/** Where the files come from. */
export type RuntimeSource =
  /** Nothing is wrong with what is there. */
  | { readonly kind: 'present' }
  /** The archive of the release. */
  | { readonly kind: 'release' }
  /** An archive that the user names. */
  | { readonly kind: 'archive'; readonly path: string }
  /** The libraries of a local build, with the programs of their releases. */
  | {
      readonly kind: 'build';
      readonly directories: readonly [build: string, custom?: string];
      readonly provenance: ProvenanceSettings;
    };

export interface RuntimePlan {
  readonly config: RuntimeConfig;
  readonly source: RuntimeSource;
  /** What is wrong with the runtime that is there. */
  readonly defects: readonly RuntimeDefect[];
  /** Whether everything is got and compressed again. */
  readonly isForced: boolean;
  /** Whether a complete runtime stays, also one that another run completes before this one begins. */
  readonly keepsComplete: boolean;
}

const SETUP = 'tasks/vm/vm-setup.ts';

/** Where the libraries of a local build are looked for; on macOS a custom runtime may have its own kernel. */
function libraryDirectories(root: string, platform: VmPlatform): [build: string, custom?: string] {
  const build = buildDirectory(root);
  return PLATFORMS[platform].os === 'darwin' ? [build, join(root, 'target/custom-runtime')] : [build];
}

/** What is wrong with the runtime that is there; one that nothing vouches for is not complete. */
export function setupDefects(ctx: RunnerContext, config: RuntimeConfig): RuntimeDefect[] {
  const defects = runtimeDefects(config.directory, config.platform);
  return defects.length > 0 ? defects : trustDefects(ctx, config);
}

/**
 * Plans to complete a runtime from its release.
 * @throws usageError where the directory cannot be replaced, or the recorded digests cannot be read
 */
export function planDownload(
  ctx: RunnerContext,
  config: RuntimeConfig,
  isForced: boolean,
  keepsComplete: boolean,
): RuntimePlan {
  const defects = setupDefects(ctx, config);
  if (keepsComplete && defects.length === 0 && !isForced) {
    return { config, source: { kind: 'present' }, defects, isForced, keepsComplete };
  }
  verifyReplaceable(config.directory);
  readPins(config.release.pinsPath);
  return { config, source: { kind: 'release' }, defects, isForced, keepsComplete };
}

/**
 * Plans to stage a local build, whatever is there.
 * @throws usageError where the directory cannot be replaced, or a program that is needed besides cannot be verified
 */
export function planBuild(config: RuntimeConfig, provenance: ProvenanceSettings, isForced: boolean): RuntimePlan {
  verifyReplaceable(config.directory);
  verifyPrograms(config);
  const defects = runtimeDefects(config.directory, config.platform);
  const directories = libraryDirectories(config.root, config.platform);
  return { config, source: { kind: 'build', directories, provenance }, defects, isForced, keepsComplete: false };
}

/** @throws usageError for a program that has no recorded digest */
export function verifyPrograms(config: RuntimeConfig): void {
  const pins = readPins(config.release.pinsPath);
  for (const name of ['gvproxy', 'umoci'] as const) {
    if (pinsOf(pins, config[name]).length === 0) throw unpinned(config.release, config[name]);
  }
}

/**
 * Plans a compression: an archive that is named, else the local build, else nothing where the runtime is complete.
 * @throws usageError where there is none of them
 */
export function planCompression(
  config: RuntimeConfig,
  tarball: string | undefined,
  provenance: ProvenanceSettings,
  isForced: boolean,
): RuntimePlan {
  const defects = runtimeDefects(config.directory, config.platform);
  const base = { config, defects, isForced, keepsComplete: false };
  if (tarball !== undefined) {
    if (!isRegularFile(tarball))
      throw usageError(`VM_RUNTIME_TARBALL is ${shown(tarball)}, which is not a file with content; name one`);
    verifyReplaceable(config.directory);
    return { ...base, source: { kind: 'archive', path: tarball } };
  }
  try {
    const hint = `run ${SETUP} --from-source, or set VM_RUNTIME_TARBALL to an archive, or run ${SETUP} to download one`;
    findLibraries(config.platform, libraryDirectories(config.root, config.platform), hint);
  } catch (error) {
    if (defects.length === 0 && !isForced) return { ...base, source: { kind: 'present' } };
    throw error;
  }
  return planBuild(config, provenance, isForced);
}
