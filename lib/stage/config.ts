// SPDX-License-Identifier: Apache-2.0

/** What a staging was asked for: arguments and environment, checked, as one value. */

import { splitFeatures } from '../cargo/metadata.ts';
import { verifyVersion } from '../cargo/version-overlay.ts';
import { type Environment, readPath, readVariable } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { type Arch, archOf, type Host, platformArches } from '../host.ts';
import { COMPONENTS, type Component, type STAGE_TARGETS } from '../product.ts';

/** How binaries are compiled; the supervisor's `libc` is `gnu` (dynamic) only for the VM's bundle. */
export interface BuildOptions extends Omit<ReturnType<typeof resolveBuildOptions>, 'libc'> {
  readonly libc: 'musl' | 'glibc-static' | 'gnu';
}

export interface StageConfig {
  readonly root: string;
  readonly host: Host;
  readonly components: readonly Component[];
  readonly arches: readonly Arch[];
  readonly build: BuildOptions;
}

/** Architectures: `PREBUILT_ARCH`, then `DOCKER_PLATFORM`, then this machine's. @throws usageError for any wrong value */
export function resolveStageConfig(
  target: (typeof STAGE_TARGETS)[number],
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
): StageConfig {
  const build = resolveBuildOptions(env, startDirectory);
  const { gateway, supervisor } = COMPONENTS;
  const components = target === 'all' ? [gateway, supervisor] : [target === 'gateway' ? gateway : supervisor];
  const [arch, ofPlatforms] = [archOf(readVariable(env, 'PREBUILT_ARCH') ?? ''), resolvePlatforms(env)];
  const arches = arch === undefined ? (ofPlatforms ?? [host.arch]) : [arch];
  if (arches.every((one) => one !== undefined)) return { root, host, components, arches, build };
  throw usageError('this machine is neither amd64 nor arm64; set DOCKER_PLATFORM to linux/amd64 or linux/arm64');
}

/** @param ignored variables that are not looked at @throws usageError for any wrong value */
export function resolveBuildOptions(
  env: Environment,
  startDirectory: string,
  ignored: readonly ('OPENSHELL_CARGO_VERSION' | 'SUPERVISOR_LIBC')[] = [],
) {
  const read = <Name extends (typeof ignored)[number]>(name: Name) =>
    ignored.includes(name) ? undefined : readVariable(env, name);
  const version = read('OPENSHELL_CARGO_VERSION');
  return {
    libc: read('SUPERVISOR_LIBC') ?? 'musl',
    features: splitFeatures(readVariable(env, 'EXTRA_CARGO_FEATURES')),
    version: version && verifyVersion('OPENSHELL_CARGO_VERSION', version),
    targetDirectory: readPath(env, 'CARGO_TARGET_DIR', startDirectory),
    /** The user's variable of flags for rustc, with the one that links libc in; `undefined` where neither is set. */
    staticFlags: staticFlags(env.RUSTFLAGS, env.CARGO_ENCODED_RUSTFLAGS),
  };
}

/** The architectures of `DOCKER_PLATFORM`; `undefined` where it is unset. */
export function resolvePlatforms(env: Environment): readonly Arch[] | undefined {
  const text = readVariable(env, 'DOCKER_PLATFORM');
  return text === undefined ? undefined : platformArches('DOCKER_PLATFORM', text);
}

/** The flags that link libc in. */
export const STATIC_FLAGS = ['-C', 'target-feature=+crt-static'];

/** To cargo the encoded variable, whose flags U+001F separates, wins over the plain one, and an empty one counts. */
function staticFlags(plain: string | undefined, encoded: string | undefined): Environment | undefined {
  const joined = (own: string, separator: string) => [own || [], STATIC_FLAGS].flat().join(separator);
  if (encoded !== undefined) return { CARGO_ENCODED_RUSTFLAGS: joined(encoded, '\u001f') };
  return plain === undefined ? undefined : { RUSTFLAGS: joined(plain, ' ') };
}
