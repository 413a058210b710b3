// SPDX-License-Identifier: Apache-2.0

/**
 * What a complete VM runtime is: the compressed files that the VM driver embeds on each platform, by their exact names,
 * whole, and for that platform. The driver's build script takes an empty stub for each that is missing, and only the
 * start of a VM fails; so everybody who needs a runtime asks here.
 */

import { join } from 'node:path';
import { inspectExecutable, inspectLibrary } from '../elf/verify.ts';
import { shown, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import { machODefect } from '../gateway/drivers/mach-o.ts';
import type { Arch, Host } from '../host.ts';
import { readContent, ZstdError } from '../zstd/decompress.ts';
import { filesBytes, RECORD_FILE, readRecord, sha256Of } from './runtime/record.ts';

/** The guest's supervisor, which the bundle task builds; everything else comes from `vm:setup`. */
export const BUNDLE_FILE = 'openshell-sandbox.zst';
/** Where the files come from; the driver does not read it. */
export const PROVENANCE_FILE = 'provenance.json';

export const VM_PLATFORMS = ['linux-x86_64', 'linux-aarch64', 'darwin-aarch64'] as const;

/** A platform that VM sandboxes run on. */
export type VmPlatform = (typeof VM_PLATFORMS)[number];

interface PlatformFacts {
  readonly os: 'linux' | 'darwin';
  /** Of the platform and of its guests. */
  readonly arch: Arch;
  readonly krun: string;
  readonly krunfw: string;
  /** The name of gvproxy in its release. */
  readonly gvproxy: string;
}

const LINUX = { os: 'linux', krun: 'libkrun.so', krunfw: 'libkrunfw.so.5' } as const;

export const PLATFORMS: Readonly<Record<VmPlatform, PlatformFacts>> = {
  'linux-x86_64': { ...LINUX, arch: 'amd64', gvproxy: 'gvproxy-linux-amd64' },
  'linux-aarch64': { ...LINUX, arch: 'arm64', gvproxy: 'gvproxy-linux-arm64' },
  'darwin-aarch64': {
    os: 'darwin',
    arch: 'arm64',
    krun: 'libkrun.dylib',
    krunfw: 'libkrunfw.5.dylib',
    gvproxy: 'gvproxy-darwin',
  },
};

/** The program that the guest runs: for Linux on every platform. */
const GUEST_PROGRAM = 'umoci';

/**
 * The platform of a host.
 * @throws usageError for one that has no VM driver
 */
export function vmPlatformOf({ platform, arch }: Host): VmPlatform {
  const found = VM_PLATFORMS.find((name) => PLATFORMS[name].os === platform && PLATFORMS[name].arch === arch);
  if (found !== undefined) return found;
  throw usageError(
    `the VM driver does not run on ${platform} ${arch ?? 'of this architecture'}; ` +
      `it runs on ${VM_PLATFORMS.join(', ')}; use one of them, or another driver`,
  );
}

/** The names of a runtime's files before they are compressed, without the supervisor. */
export function runtimeNames(platform: VmPlatform): readonly string[] {
  const { krun, krunfw } = PLATFORMS[platform];
  return [krun, krunfw, 'gvproxy', GUEST_PROGRAM];
}

/** The names of the runtime's compressed files, without the supervisor. */
export function runtimeFiles(platform: VmPlatform): readonly string[] {
  return runtimeNames(platform).map((name) => `${name}.zst`);
}

/** A file of the runtime that the driver could not use, or should not. */
export interface RuntimeDefect {
  readonly name: string;
  /** In a few words: `not there`. */
  readonly reason: string;
}

/** What is wrong with the runtime in a directory; empty for a complete one. */
export function runtimeDefects(directory: string, platform: VmPlatform): RuntimeDefect[] {
  const record = readRecord(directory);
  const defects = runtimeNames(platform).flatMap((raw) => {
    const name = `${raw}.zst`;
    const wanted = record?.files[name];
    const isSame = wanted !== undefined && sha256Of(filesBytes(directory, name) ?? Buffer.alloc(0)) === wanted;
    // What was verified when it was staged is whole, and for that platform.
    if (isSame && record?.platform === platform) return [];
    const other = wanted === undefined || isSame ? undefined : `other content than ${RECORD_FILE} says was verified`;
    const reason = fileDefect(join(directory, name), platform, raw) ?? other;
    return reason === undefined ? [] : [{ name, reason }];
  });
  const built = provenanceOf(directory)?.platform;
  if (defects.length > 0 || typeof built !== 'string' || built === platform) return defects;
  return [{ name: PROVENANCE_FILE, reason: `of a runtime for ${shown(built)}` }];
}

/** What is wrong with the supervisor that goes with the runtime in a directory. */
export function bundleDefects(directory: string, platform: VmPlatform): RuntimeDefect[] {
  const reason = fileDefect(join(directory, BUNDLE_FILE), platform, GUEST_PROGRAM);
  return reason === undefined ? [] : [{ name: BUNDLE_FILE, reason }];
}

/** The defects in one text: `libkrun.so.zst (not there), umoci.zst (cut off)`. */
export function defectsText(defects: readonly RuntimeDefect[]): string {
  return defects.map(({ name, reason }) => `${name} (${reason})`).join(', ');
}

function fileDefect(path: string, platform: VmPlatform, raw: string): string | undefined {
  try {
    return partDefect(readContent(path), platform, raw);
  } catch (error) {
    if (error instanceof ZstdError) return error.message;
    throw error;
  }
}

/** The provenance of the runtime in a directory, where it has one that can be read. */
export function provenanceOf(directory: string): Readonly<Record<string, unknown>> | undefined {
  const path = join(directory, PROVENANCE_FILE);
  return parseTable(asOwner(path, () => textIn(path)) ?? '');
}

/** Why a content is not the whole program or library that a platform has by this name, in a few words. */
export function partDefect(content: Buffer, platform: VmPlatform, raw: string): string | undefined {
  const { arch, krun, krunfw, os } = PLATFORMS[platform];
  if (content.length === 0) return 'no content';
  const isLibrary = raw === krun || raw === krunfw;
  if (raw !== GUEST_PROGRAM && os === 'darwin') return machODefect(content, arch, isLibrary);
  const inspect = isLibrary ? inspectLibrary : inspectExecutable;
  const verdict = inspect({ name: raw, content }, { machine: arch });
  if (verdict.ok) return undefined;
  return `no ${isLibrary ? 'library' : 'program'} for Linux on ${arch} (${verdict.reasons.join('; ')})`;
}
