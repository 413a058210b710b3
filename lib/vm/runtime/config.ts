// SPDX-License-Identifier: Apache-2.0

/** Which VM runtime was asked for, and the recorded digests, which are the suite's: no checkout says what is trusted. */

import { join } from 'node:path';
import { findCheckout, SUITE_ROOT } from '../../checkout.ts';
import { type Environment, notAllowed, readVariable } from '../../cli/env.ts';
import type { TaskContext } from '../../cli/task.ts';
import { usageError } from '../../errors.ts';
import { parseTable } from '../../fs/parse-json.ts';
import { contentOf } from '../../fs/paths.ts';
import { thisHost } from '../../host.ts';
import {
  type Digests,
  defectsText,
  PLATFORMS,
  RECORD_FILE,
  readRecord,
  runtimeDefects,
  runtimeDirectory,
  type VmPlatform,
  vmPlatformOf,
} from '../runtime-files.ts';
import { isRef, readVersions } from '../versions.ts';

export const GITHUB = 'https://github.com';
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
  readonly isRolling?: true;
}

/** How files of releases are got and verified. */
export interface ReleaseConfig {
  readonly baseUrl: string;
  readonly apiUrl: string;
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

/** Resolves the configuration. @throws usageError for any wrong value, or for a machine that has no VM driver */
export function resolveRuntimeConfig(
  { env, startDirectory }: Pick<TaskContext, 'env' | 'startDirectory'>,
  platform: VmPlatform = vmPlatformOf(thisHost()),
): RuntimeConfig {
  const root = findCheckout(env, startDirectory);
  return {
    root,
    platform,
    directory: runtimeDirectory(env, root, startDirectory),
    release: resolveReleaseConfig(env),
    ...resolveParts(env, root, platform),
  };
}

/** @throws usageError for a base that is not a plain URL; it may hold a password, and is not shown */
export function resolveReleaseConfig(env: Environment): ReleaseConfig {
  const name = 'OPENSHELL_RELEASE_BASE_URL';
  const baseUrl = readVariable(env, name).replace(/\/+$/, '');
  if (!/^https?:\/\/[^/?#@]+(?:\/[^?#@]*)?$/.test(baseUrl) || !URL.canParse(baseUrl)) {
    throw usageError(`${name} is not https://HOST or http://HOST:PORT/PATH, without a user; change it or unset it`);
  }
  return { baseUrl, apiUrl: API, stallMs: readVariable(env, 'OPENSHELL_DOWNLOAD_TIMEOUT') * 1000, pinsPath: PINS_PATH };
}

/** The parts of a platform's runtime. */
export function resolveParts(env: Environment, root: string, platform: VmPlatform): RuntimeParts {
  const { GVPROXY_VERSION, UMOCI_VERSION } = readVersions(env, root, ['GVPROXY_VERSION', 'UMOCI_VERSION']);
  const { arch, gvproxy } = PLATFORMS[platform];
  const repository = readVariable(env, 'GITHUB_REPOSITORY');
  const tag = readVariable(env, 'VM_RUNTIME_RELEASE_TAG');
  if (!isRef(repository) || repository.split('/').length !== 2) {
    throw notAllowed('GITHUB_REPOSITORY', repository, 'is OWNER/NAME');
  }
  if (!isRef(tag)) throw notAllowed('VM_RUNTIME_RELEASE_TAG', tag, 'is a tag');
  const what = `VM runtime for ${platform}`;
  const [gvproxyOf, umociOf] = [
    `gvproxy ${GVPROXY_VERSION} for ${platform}`,
    `umoci ${UMOCI_VERSION} for linux/${arch}`,
  ];
  const umoci = [`umoci.linux.${arch}`, `umoci.${arch}`] as const;
  return {
    runtime: { what, repository, tag, names: [`vm-runtime-${platform}.tar.zst`], isRolling: true },
    gvproxy: { what: gvproxyOf, repository: 'containers/gvisor-tap-vsock', tag: GVPROXY_VERSION, names: [gvproxy] },
    umoci: { what: umociOf, repository: 'opencontainers/umoci', tag: UMOCI_VERSION, names: umoci },
  };
}

/** What is asked for, for users. */
export function wantedText({ gvproxy, runtime, umoci }: RuntimeParts): string {
  return `${runtime.repository} ${runtime.tag}, gvproxy ${gvproxy.tag}, umoci ${umoci.tag}`;
}

/** The path of a file below the server, which is its key among the recorded digests. */
export function releasePath({ repository, tag }: ReleaseFile, name: string): string {
  return `${repository}/releases/download/${tag}/${name}`;
}

/** What is downloaded, and against what it is verified, for a dry run. */
export function downloadLine({ baseUrl }: ReleaseConfig, file: ReleaseFile): string {
  const urls = file.names.map((name) => `${baseUrl}/${releasePath(file, name)}`);
  const stated = file.isRolling ? ', or the one that its API states' : '';
  return `# downloads ${urls.join(' or ')} (verified: the recorded SHA-256${stated})`;
}

/** The recorded digests. @throws usageError for a file that is missing, or not what `--update-pins` writes */
export function readPins(path: string): Digests {
  const pins = parseTable(contentOf(path).toString());
  const isWhole = pins !== undefined && Object.values(pins).every((one) => /^[0-9a-f]{64}$/.test(String(one)));
  if (isWhole) return pins as Digests;
  throw usageError(`${path} is not a table of SHA-256s in JSON; get the file back from where the tasks are from`);
}

/** The recorded digest of a file, under the name that it has; `undefined` where none is recorded. */
export function pinOf(
  pins: Digests,
  file: ReleaseFile,
): { readonly name: string; readonly sha256: string } | undefined {
  const name = file.names.find((one) => pins[releasePath(file, one)] !== undefined);
  return name === undefined ? undefined : { name, sha256: pins[releasePath(file, name)] ?? '' };
}

/** The refusal of a file of which nothing tells what it has to be; `reason` says why nothing else does. */
export function unpinned({ baseUrl }: ReleaseConfig, file: ReleaseFile, reason = '') {
  const url = `${baseUrl}/${releasePath(file, file.names[0])}`;
  return usageError(`${file.what}: no SHA-256 of ${url} is recorded${reason}; record it with ${UPDATE_COMMAND}`);
}

type FlagName = 'from-source' | 'install-deps' | 'force' | 'update-pins' | 'dry-run';

export type SetupFlags = Readonly<Record<FlagName, boolean>>;

/** What `vm:setup` has to do. Where there is nothing, that is said. @throws usageError for wrong values */
export function whatToSetUp(ctx: TaskContext, flags: SetupFlags): 'nothing' | 'release' | 'build' | 'pins' {
  const isFromSource = readVariable(ctx.env, 'FROM_SOURCE') || flags['from-source'];
  const config = resolveRuntimeConfig(ctx);
  if (flags['update-pins']) return 'pins';
  if (isFromSource) return 'build';
  if (flags.force || setupReason(config) !== undefined) return 'release';
  sayPresent(ctx, config, flags['dry-run']);
  return 'nothing';
}

/** Says that there is nothing to do. */
export function sayPresent({ terminal }: TaskContext, config: RuntimeConfig, isDryRun: boolean): void {
  if (!isDryRun) terminal.say(`nothing to do: ${runtimeText(config)}`);
  terminal.result(isDryRun ? `# keeps ${runtimeText(config)}` : config.directory);
}

/** A complete runtime, for users, and how it was verified. */
export function runtimeText({ directory, platform }: RuntimeConfig): string {
  return `${directory} for ${platform}; verified: ${readRecord(directory, platform)?.verified ?? 'no'}`;
}

/** Why the runtime is to be set up, in a few words; `undefined` where it is what is asked for by now, and complete. */
export function setupReason(config: RuntimeConfig): string | undefined {
  const { directory, platform, release } = config;
  const defects = runtimeDefects(directory, platform);
  if (defects.length > 0) return defectsText(defects);
  const record = readRecord(directory, platform);
  if (record === undefined) return `${RECORD_FILE} (nothing tells what was verified)`;
  const wanted = wantedText(config);
  if (record.wanted !== wanted) return `${RECORD_FILE} (of another release: ${record.wanted}, wanted ${wanted})`;
  const pins = readPins(release.pinsPath);
  const outdated = Object.entries(record.sources).find(([path, sha256]) => (pins[path] ?? sha256) !== sha256);
  return outdated && `${RECORD_FILE} (another SHA-256 is recorded of ${outdated[0]} by now)`;
}
