// SPDX-License-Identifier: Apache-2.0

/** Which VM runtime was asked for, and where its parts come from: flags and environment, checked, as one value. */

import { basename, dirname, join } from 'node:path';
import { SUITE_ROOT } from '../../checkout.ts';
import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import type { Host } from '../../host.ts';
import { runtimeDirectory } from '../config.ts';
import { PLATFORMS, VM_PLATFORMS, type VmPlatform, vmPlatformOf } from '../runtime-files.ts';
import { readVersions } from '../versions.ts';

const GITHUB = 'https://github.com';
const API = 'https://api.github.com';

/** A file of a release. */
export interface ReleaseFile {
  /** For users: `gvproxy v0.8.8 (linux-x86_64)`. */
  readonly what: string;
  /** `owner/name` */
  readonly repository: string;
  readonly tag: string;
  /** The names that it may have in the release, the likelier first. */
  readonly names: readonly [string, ...string[]];
  /** Whether the release is replaced now and then: what the release's API states counts where nothing is recorded. */
  readonly isRolling: boolean;
}

/** How files of releases are got and verified. */
export interface ReleaseConfig {
  readonly baseUrl: string;
  /** Always GitHub's own: a mirror does not say what its files have to be. */
  readonly apiUrl: string;
  readonly isMirror: boolean;
  /** How long a server may send nothing. */
  readonly stallMs: number;
  /** The recorded digests, a file of the suite. */
  readonly pinsPath: string;
}

/** The parts of a runtime that releases have. */
export interface RuntimeParts {
  readonly runtime: ReleaseFile;
  readonly gvproxy: ReleaseFile;
  readonly umoci: ReleaseFile;
}

export interface RuntimeConfig extends RuntimeParts {
  readonly root: string;
  readonly platform: VmPlatform;
  /** Where the compressed files go, absolute. */
  readonly directory: string;
  readonly release: ReleaseConfig;
  readonly versions: Readonly<Record<'GVPROXY_VERSION' | 'UMOCI_VERSION', string>>;
  /** The release of the runtime itself. */
  readonly source: { readonly repository: string; readonly tag: string };
}

/** The recorded digests of this suite. */
export const PINS_PATH = join(SUITE_ROOT, 'pins/vm-runtime.json');

/**
 * Resolves the configuration.
 * @param platform the value of `--platform`, else this machine's platform
 * @throws usageError for any wrong value, or for a machine that has no VM driver
 */
export function resolveRuntimeConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  host: Host,
  platform: VmPlatform = vmPlatformOf(host),
): RuntimeConfig {
  const versions = readVersions(env, root, ['GVPROXY_VERSION', 'UMOCI_VERSION']);
  const source = {
    repository: checked(env, 'GITHUB_REPOSITORY', /^[\w.-]+\/[\w.-]+$/, 'is OWNER/NAME'),
    tag: checked(env, 'VM_RUNTIME_RELEASE_TAG', /^\w[\w.+/-]*$/, 'is a tag'),
  };
  return {
    root,
    platform,
    directory: runtimeDirectory(env, root, startDirectory),
    release: resolveReleaseConfig(env),
    versions,
    source,
    ...partsOf(source, platform, versions),
  };
}

/** @throws usageError for a base that is not a plain URL */
export function resolveReleaseConfig(env: Environment): ReleaseConfig {
  const name = 'OPENSHELL_RELEASE_BASE_URL';
  const text = readVariable(env, name);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.search + url.hash === '';
  if (url !== undefined && url.username + url.password !== '') {
    throw usageError(`${name} has a user or a password in it, which would be printed; take a URL without them`);
  }
  if (!isPlain) throw notAllowed(name, text, 'is a URL, https://HOST or http://HOST:PORT/PATH');
  const baseUrl = text.replace(/\/+$/, '');
  const stallMs = readVariable(env, 'OPENSHELL_DOWNLOAD_TIMEOUT') * 1000;
  return { baseUrl, apiUrl: API, isMirror: baseUrl !== GITHUB, stallMs, pinsPath: PINS_PATH };
}

/**
 * The parts of a platform's runtime.
 * @param source the release of the runtime itself
 */
export function partsOf(
  { repository, tag }: RuntimeConfig['source'],
  platform: VmPlatform,
  versions: RuntimeConfig['versions'],
): RuntimeParts {
  const { arch, gvproxy } = PLATFORMS[platform];
  return {
    runtime: {
      what: `VM runtime for ${platform}`,
      repository,
      tag,
      names: [`vm-runtime-${platform}.tar.zst`],
      isRolling: true,
    },
    gvproxy: {
      what: `gvproxy ${versions.GVPROXY_VERSION} for ${platform}`,
      repository: 'containers/gvisor-tap-vsock',
      tag: versions.GVPROXY_VERSION,
      names: [gvproxy],
      isRolling: false,
    },
    umoci: {
      what: `umoci ${versions.UMOCI_VERSION} for linux/${arch}`,
      repository: 'opencontainers/umoci',
      tag: versions.UMOCI_VERSION,
      names: [`umoci.linux.${arch}`, `umoci.${arch}`],
      isRolling: false,
    },
  };
}

function checked(
  env: Environment,
  name: 'GITHUB_REPOSITORY' | 'VM_RUNTIME_RELEASE_TAG',
  pattern: RegExp,
  allowed: string,
): string {
  const text = readVariable(env, name);
  const isFine = pattern.test(text) && !text.split('/').some((part) => part === '' || /^\.+$/.test(part));
  if (!isFine) throw notAllowed(name, text, allowed);
  return text;
}

/** Where a runtime's archive comes from, when it is not downloaded; `undefined` for the local build. */
export interface CompressSource {
  readonly tarball: string | undefined;
  readonly platform: VmPlatform;
}

/**
 * Resolves the source of a compression. Order for the platform: the flag, then `VM_RUNTIME_PLATFORM`, then the
 * archive's name, then this machine.
 * @throws usageError for values that contradict each other
 */
export function resolveCompressSource(
  env: Environment,
  startDirectory: string,
  host: Host,
  flag: VmPlatform | undefined,
): CompressSource {
  const tarball = readPath(env, 'VM_RUNTIME_TARBALL', startDirectory);
  const named = VM_PLATFORMS.find(
    (name) => tarball !== undefined && basename(tarball) === `vm-runtime-${name}.tar.zst`,
  );
  const wanted = flag ?? readVariable(env, 'VM_RUNTIME_PLATFORM');
  if (wanted !== undefined && named !== undefined && wanted !== named) {
    throw usageError(
      `VM_RUNTIME_TARBALL is ${shown(tarball ?? '')}, which is for ${named}, and the platform that is asked for is ` +
        `${wanted}; name another archive or leave the platform out`,
    );
  }
  return { tarball, platform: wanted ?? named ?? vmPlatformOf(host) };
}

/** What a `provenance.json` says besides what the build itself says. */
export interface ProvenanceSettings {
  readonly githubSha: string;
  readonly githubRunId: string;
  /** The time that all bears, in seconds since 1970; `undefined` for that of the build. */
  readonly time: number | undefined;
}

/** @throws usageError for a wrong time */
export function resolveProvenance(env: Environment): ProvenanceSettings {
  return {
    githubSha: readVariable(env, 'GITHUB_SHA'),
    githubRunId: readVariable(env, 'GITHUB_RUN_ID'),
    time: readVariable(env, 'SOURCE_DATE_EPOCH'),
  };
}

/** A file or directory beside the runtime's own, which is replaced whole. */
export function besideRuntime(directory: string, ending: string): string {
  return join(dirname(directory), `.${basename(directory)}.${ending}`);
}
