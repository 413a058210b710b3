// SPDX-License-Identifier: Apache-2.0

/**
 * Which VM runtime was asked for, and where its parts come from: flags and environment, checked, as one value; and the
 * recorded SHA-256 of each file of a release. Those belong to the suite: who can change a checkout cannot change what
 * is trusted.
 */

import { join } from 'node:path';
import { findCheckout, SUITE_ROOT } from '../../checkout.ts';
import { type Environment, notAllowed, readVariable } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { shown, usageError } from '../../errors.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import { thisHost } from '../../host.ts';
import { PLATFORMS, runtimeDirectory, type VmPlatform, vmPlatformOf } from '../runtime-files.ts';
import { isRef, readVersions } from '../versions.ts';

const GITHUB = 'https://github.com';
/** Always GitHub's own: a mirror does not say what its files have to be. */
const API = 'https://api.github.com';
const PINS_PATH = join(SUITE_ROOT, 'pins/vm-runtime.json');
/** The command that records what is missing. */
export const UPDATE_COMMAND = 'tasks/vm/vm-setup.ts --update-pins';

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
  readonly apiUrl: string;
  readonly isMirror: boolean;
  /** How long a server may send nothing. */
  readonly stallMs: number;
  /** The recorded digests, a file of the suite. */
  readonly pinsPath: string;
}

/** The parts of a runtime that releases have. */
export type RuntimeParts = Readonly<Record<'runtime' | 'gvproxy' | 'umoci', ReleaseFile>>;

export interface RuntimeConfig extends RuntimeParts {
  readonly root: string;
  readonly platform: VmPlatform;
  /** Where the compressed files go, absolute. */
  readonly directory: string;
  readonly release: ReleaseConfig;
}

/**
 * Resolves the configuration.
 * @param named the platform that was asked for, else this machine's
 * @throws usageError for any wrong value, or for a machine that has no VM driver
 */
export function resolveRuntimeConfig(
  { env, startDirectory }: Pick<TaskContext, 'env' | 'startDirectory'>,
  named?: VmPlatform,
): RuntimeConfig {
  const root = findCheckout(env, startDirectory);
  const platform = named ?? vmPlatformOf(thisHost());
  return {
    root,
    platform,
    directory: runtimeDirectory(env, root, startDirectory),
    release: resolveReleaseConfig(env),
    ...resolveParts(env, root, platform),
  };
}

/** @throws usageError for a base that is not a plain URL */
export function resolveReleaseConfig(env: Environment): ReleaseConfig {
  const name = 'OPENSHELL_RELEASE_BASE_URL';
  const text = readVariable(env, name);
  const { hash, password, protocol, search, username } = URL.canParse(text) ? new URL(text) : new URL('none:');
  if (username + password !== '') {
    throw usageError(`${name} has a user or a password in it, which would be printed; take a URL without them`);
  }
  if (!['http:', 'https:'].includes(protocol) || search + hash !== '') {
    throw notAllowed(name, text, 'is a URL, https://HOST or http://HOST:PORT/PATH');
  }
  const baseUrl = text.replace(/\/+$/, '');
  const stallMs = readVariable(env, 'OPENSHELL_DOWNLOAD_TIMEOUT') * 1000;
  return { baseUrl, apiUrl: API, isMirror: baseUrl !== GITHUB, stallMs, pinsPath: PINS_PATH };
}

/** The parts of a platform's runtime. */
export function resolveParts(env: Environment, root: string, platform: VmPlatform): RuntimeParts {
  const { GVPROXY_VERSION, UMOCI_VERSION } = readVersions(env, root, ['GVPROXY_VERSION', 'UMOCI_VERSION']);
  const { arch, gvproxy } = PLATFORMS[platform];
  return {
    runtime: {
      what: `VM runtime for ${platform}`,
      repository: checked(env, 'GITHUB_REPOSITORY', 2, 'is OWNER/NAME'),
      tag: checked(env, 'VM_RUNTIME_RELEASE_TAG', undefined, 'is a tag'),
      names: [`vm-runtime-${platform}.tar.zst`],
      isRolling: true,
    },
    gvproxy: {
      what: `gvproxy ${GVPROXY_VERSION} for ${platform}`,
      repository: 'containers/gvisor-tap-vsock',
      tag: GVPROXY_VERSION,
      names: [gvproxy],
      isRolling: false,
    },
    umoci: {
      what: `umoci ${UMOCI_VERSION} for linux/${arch}`,
      repository: 'opencontainers/umoci',
      tag: UMOCI_VERSION,
      names: [`umoci.linux.${arch}`, `umoci.${arch}`],
      isRolling: false,
    },
  };
}

/** @param parts how many parts it has; any number where none is told */
function checked(
  env: Environment,
  name: 'GITHUB_REPOSITORY' | 'VM_RUNTIME_RELEASE_TAG',
  parts: number | undefined,
  allowed: string,
): string {
  const text = readVariable(env, name);
  if (isRef(text) && (parts === undefined || text.split('/').length === parts)) return text;
  throw notAllowed(name, text, allowed);
}

/** What is asked for, for users. */
export function wantedText({ gvproxy, runtime, umoci }: RuntimeParts): string {
  return `${runtime.repository} ${runtime.tag}, gvproxy ${gvproxy.tag}, umoci ${umoci.tag}`;
}

/** The path of a file below the server, which is its key among the recorded digests. */
export function releasePath({ repository, tag }: ReleaseFile, name: string): string {
  return `${repository}/releases/download/${tag}/${name}`;
}

/** The recorded digests, by the paths of their files. */
export type Pins = ReadonlyMap<string, string>;

/** @throws usageError for a file that is missing, or not what `--update-pins` writes */
export function readPins(path: string): Pins {
  let text: string;
  try {
    text = contentOf(path).toString();
  } catch (cause) {
    throw usageError('the recorded digests cannot be read; get the file back, or install the tasks again', { cause });
  }
  const entries = Object.entries(parseTable(text) ?? { '': undefined });
  const wrong = entries.find(([, digest]) => !/^[0-9a-f]{64}$/.test(String(digest)));
  if (wrong === undefined) return new Map(entries as [string, string][]);
  const what = wrong[0] === '' ? 'is not a table in JSON' : `has no SHA-256 for ${shown(wrong[0])}`;
  throw usageError(`${path} ${what}; get the file back from where the tasks are from`);
}

/** The recorded digests of a file, by the names that it may have; empty where none is recorded. */
export function pinsOf(pins: Pins, file: ReleaseFile): { readonly name: string; readonly sha256: string }[] {
  return file.names.flatMap((name) => {
    const sha256 = pins.get(releasePath(file, name));
    return sha256 === undefined ? [] : [{ name, sha256 }];
  });
}
