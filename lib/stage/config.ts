// SPDX-License-Identifier: Apache-2.0

/** What a staging was asked for: arguments and environment, checked, as one value. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitFeatures } from '../cargo/features.ts';
import { verifyVersion } from '../cargo/version-overlay.ts';
import { choiceOf, type Environment, textOf } from '../cli/env.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Arch, archOf, type Host, platformArches } from '../host.ts';
import { COMPONENTS, type Component } from '../product.ts';

/** The words that name what to stage; `sandbox` and `supervisor-output` are old names of the supervisor. */
export const STAGE_TARGETS = ['all', 'gateway', 'supervisor', 'sandbox', 'supervisor-output'] as const;

export const SUPERVISOR_LIBCS = ['musl', 'glibc-static'] as const;

/** Environment variables of staging; the names are the interface of users and CI. */
export const STAGE_VARIABLES = {
  arch: 'PREBUILT_ARCH',
  platforms: 'DOCKER_PLATFORM',
  libc: 'SUPERVISOR_LIBC',
  features: 'EXTRA_CARGO_FEATURES',
  version: 'OPENSHELL_CARGO_VERSION',
  targetDirectory: 'CARGO_TARGET_DIR',
  jobs: 'CARGO_BUILD_JOBS',
} as const;

export interface StageConfig {
  /** The checkout, absolute. */
  readonly root: string;
  readonly components: readonly Component[];
  readonly arches: readonly Arch[];
  readonly host: Host;
  /** How the supervisor is linked; `gnu` (dynamic) only for the VM's bundle. */
  readonly libc: (typeof SUPERVISOR_LIBCS)[number] | 'gnu';
  readonly features: readonly string[];
  /** The version to stamp; `undefined` for the workspace's own. */
  readonly version: string | undefined;
  /** `CARGO_TARGET_DIR`, absolute; `undefined` where cargo's configuration decides. */
  readonly targetDirectory: string | undefined;
  /** The flags that the user gives rustc, as `RUSTFLAGS` or encoded. */
  readonly rustflags: string | undefined;
  readonly encodedRustflags: string | undefined;
}

/**
 * Resolves the configuration of a staging. Order for the architectures: `PREBUILT_ARCH`, then
 * `DOCKER_PLATFORM`, then this machine's.
 *
 * @param target one of `STAGE_TARGETS`
 * @throws usageError for any wrong value, used or not
 */
export function resolveStageConfig(
  target: string,
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
): StageConfig {
  verifyJobs(env);
  const version = textOf(env, STAGE_VARIABLES.version);
  return {
    root,
    components: componentsOf(target),
    arches: resolveArches(env, host),
    host,
    libc: choiceOf(env, STAGE_VARIABLES.libc, SUPERVISOR_LIBCS) ?? 'musl',
    features: splitFeatures(textOf(env, STAGE_VARIABLES.features)),
    version: version === undefined ? undefined : verifyVersion(STAGE_VARIABLES.version, version),
    targetDirectory: resolveTargetDirectory(env, root, startDirectory),
    rustflags: textOf(env, 'RUSTFLAGS'),
    encodedRustflags: textOf(env, 'CARGO_ENCODED_RUSTFLAGS'),
  };
}

/**
 * The components that a target word means.
 *
 * @throws usageError for a word that is not in `STAGE_TARGETS`
 */
export function componentsOf(target: string): readonly Component[] {
  if (target === 'all') return [COMPONENTS.gateway, COMPONENTS.supervisor];
  if (target === 'gateway') return [COMPONENTS.gateway];
  if (STAGE_TARGETS.some((known) => known === target)) return [COMPONENTS.supervisor];
  throw usageError(`target is ${shown(target)}; allowed are ${STAGE_TARGETS.join(', ')}`);
}

function resolveArches(env: Environment, host: Host): readonly Arch[] {
  const named = textOf(env, STAGE_VARIABLES.arch);
  const platforms = textOf(env, STAGE_VARIABLES.platforms);
  const ofPlatforms = platforms === undefined ? undefined : platformArches(STAGE_VARIABLES.platforms, platforms);
  if (named !== undefined) {
    const arch = named === 'x64' ? undefined : archOf(named);
    if (arch !== undefined) return [arch];
    throw usageError(
      `${STAGE_VARIABLES.arch} is ${shown(named)}; allowed are x86_64, amd64, aarch64, arm64; change it or unset it`,
    );
  }
  if (ofPlatforms !== undefined) return ofPlatforms;
  if (host.arch !== undefined) return [host.arch];
  throw usageError(
    `this machine is neither amd64 nor arm64; set ${STAGE_VARIABLES.platforms} to linux/amd64 or linux/arm64`,
  );
}

/**
 * Build scripts talk to cargo in lines (`cargo::rustc-link-search=PATH`), so a path with a line
 * break cannot pass. A checkout in such a place builds into the user's cache directory.
 */
export function resolveTargetDirectory(env: Environment, root: string, startDirectory: string): string | undefined {
  const named = textOf(env, STAGE_VARIABLES.targetDirectory);
  if (named !== undefined) return absolutePath(startDirectory, named);
  if (!/[\r\n]/.test(root)) return undefined;
  const cache = textOf(env, 'XDG_CACHE_HOME') ?? join(textOf(env, 'HOME') ?? tmpdir(), '.cache');
  return join(absolutePath(startDirectory, cache), 'openshell-tasks', withoutLineBreaks(root), 'target');
}

/** The path with its line breaks (and the sign that stands for them) as `%0A`: every path has another one. */
function withoutLineBreaks(path: string): string {
  return path.replaceAll(/[%\r\n]/g, encodeURIComponent);
}

/** Cargo takes any whole number but 0, and `default`; it would find the mistake only when it starts. */
export function verifyJobs(env: Environment): void {
  const jobs = textOf(env, STAGE_VARIABLES.jobs);
  if (jobs === undefined || jobs === 'default' || (/^-?[0-9]{1,9}$/.test(jobs) && Number(jobs) !== 0)) return;
  throw usageError(
    `${STAGE_VARIABLES.jobs} is ${shown(jobs)}; allowed is a whole number other than 0, or default; change it or unset it`,
  );
}

/** Where zig's compiler wrappers for an architecture stand. */
export function wrapperDirectory(config: StageConfig, arch: Arch): string {
  return join(config.targetDirectory ?? join(config.root, 'target'), 'zig-gnu-wrapper', arch);
}
