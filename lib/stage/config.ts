// SPDX-License-Identifier: Apache-2.0

/** What a staging was asked for: arguments and environment, checked, as one value. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { splitFeatures } from '../cargo/features.ts';
import { verifyVersion } from '../cargo/version-overlay.ts';
import { type Environment, notAllowed, readPath, readVariable, textOf } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { type Arch, archOf, type Host, platformArches } from '../host.ts';
import { COMPONENTS, type Component, type STAGE_TARGETS } from '../product.ts';

/** How release binaries are compiled, whatever is built and for whichever architecture. */
export interface BuildOptions extends LaunchOptions {
  /** The version to stamp; `undefined` for the workspace's own. */
  readonly version: string | undefined;
}

/** How a launch compiles: as a release build, but never under another version. */
export interface LaunchOptions {
  /** How the supervisor is linked; `gnu` (dynamic) only for the VM's bundle. */
  readonly libc: 'musl' | 'glibc-static' | 'gnu';
  readonly features: readonly string[];
  /** `CARGO_TARGET_DIR`, absolute; `undefined` where cargo's configuration decides. */
  readonly targetDirectory: string | undefined;
  /** `CARGO_BUILD_JOBS`, checked. */
  readonly jobs: string | undefined;
  /** The flags that the user gives rustc, as `RUSTFLAGS` or encoded. */
  readonly rustflags: string | undefined;
  readonly encodedRustflags: string | undefined;
}

export interface StageConfig {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  readonly components: readonly Component[];
  readonly arches: readonly Arch[];
  readonly build: BuildOptions;
}

/**
 * Resolves the configuration of a staging. Order for the architectures: `PREBUILT_ARCH`, then `DOCKER_PLATFORM`, then
 * this machine's.
 * @throws usageError for any wrong value, used or not
 */
export function resolveStageConfig(
  target: (typeof STAGE_TARGETS)[number],
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
): StageConfig {
  const build = resolveBuildOptions(env, root, startDirectory);
  return { root, host, components: componentsOf(target), arches: resolveArches(env, host), build };
}

/**
 * Resolves how binaries are compiled.
 * @throws usageError for any wrong value
 */
export function resolveBuildOptions(env: Environment, root: string, startDirectory: string): BuildOptions {
  const version = readVariable(env, 'OPENSHELL_CARGO_VERSION');
  return {
    ...resolveLaunchOptions(env, root, startDirectory),
    version: version === undefined ? undefined : verifyVersion('OPENSHELL_CARGO_VERSION', version),
  };
}

/**
 * Resolves how a launch compiles: the version of releases is not looked at.
 * @throws usageError for any wrong value
 */
export function resolveLaunchOptions(env: Environment, root: string, startDirectory: string): LaunchOptions {
  return {
    libc: readVariable(env, 'SUPERVISOR_LIBC') ?? 'musl',
    features: splitFeatures(readVariable(env, 'EXTRA_CARGO_FEATURES')),
    targetDirectory: resolveTargetDirectory(env, root, startDirectory),
    jobs: verifyJobs(readVariable(env, 'CARGO_BUILD_JOBS')),
    rustflags: readVariable(env, 'RUSTFLAGS'),
    encodedRustflags: readVariable(env, 'CARGO_ENCODED_RUSTFLAGS'),
  };
}

function componentsOf(target: (typeof STAGE_TARGETS)[number]): readonly Component[] {
  if (target === 'all') return [COMPONENTS.gateway, COMPONENTS.supervisor];
  return [target === 'gateway' ? COMPONENTS.gateway : COMPONENTS.supervisor];
}

function resolveArches(env: Environment, host: Host): readonly Arch[] {
  const named = readVariable(env, 'PREBUILT_ARCH');
  const ofPlatforms = resolvePlatforms(env);
  if (named !== undefined) {
    const arch = named === 'x64' ? undefined : archOf(named);
    if (arch !== undefined) return [arch];
    throw notAllowed('PREBUILT_ARCH', named, 'are x86_64, amd64, aarch64, arm64');
  }
  if (ofPlatforms !== undefined) return ofPlatforms;
  if (host.arch !== undefined) return [host.arch];
  throw usageError('this machine is neither amd64 nor arm64; set DOCKER_PLATFORM to linux/amd64 or linux/arm64');
}

/**
 * The architectures of `DOCKER_PLATFORM`; `undefined` where it is unset.
 * @throws usageError for a platform that is not supported
 */
export function resolvePlatforms(env: Environment): readonly Arch[] | undefined {
  const text = readVariable(env, 'DOCKER_PLATFORM');
  return text === undefined ? undefined : platformArches('DOCKER_PLATFORM', text);
}

/**
 * Build scripts talk to cargo in lines (`cargo::rustc-link-search=PATH`), so a path with a line break cannot pass. A
 * checkout in such a place builds into the user's cache directory.
 */
function resolveTargetDirectory(env: Environment, root: string, startDirectory: string): string | undefined {
  const named = readPath(env, 'CARGO_TARGET_DIR', startDirectory);
  if (named !== undefined || !/[\r\n]/.test(root)) return named;
  const cache = textOf(env, 'XDG_CACHE_HOME') ?? join(textOf(env, 'HOME') ?? tmpdir(), '.cache');
  return join(absolutePath(startDirectory, cache), 'openshell-tasks', withoutLineBreaks(root), 'target');
}

/** The path with its line breaks (and the sign that stands for them) as `%0A`: every path has another one. */
function withoutLineBreaks(path: string): string {
  return path.replaceAll(/[%\r\n]/g, encodeURIComponent);
}

/** Cargo takes any whole number but 0, and `default`; it would find the mistake only when it starts. */
function verifyJobs(jobs: string | undefined): string | undefined {
  if (jobs === undefined || jobs === 'default' || (/^-?[0-9]{1,9}$/.test(jobs) && Number(jobs) !== 0)) return jobs;
  throw notAllowed('CARGO_BUILD_JOBS', jobs, 'is a whole number other than 0, or default');
}
