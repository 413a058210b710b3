// SPDX-License-Identifier: Apache-2.0

/**
 * What a complete VM runtime is: the compressed files that the VM driver embeds on each platform, by their exact names,
 * whole, and for that platform. The driver's build script takes an empty stub for each that is missing, and only the
 * start of a VM fails; so everybody who needs a runtime asks here.
 */

import { join } from 'node:path';
import { MACHINE_NAMES, machineName } from '../elf/format.ts';
import { inspectExecutable } from '../elf/verify.ts';
import { shown, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import { parseTable } from '../fs/parse-json.ts';
import { textIn } from '../fs/paths.ts';
import type { Arch, Host } from '../host.ts';
import { readContent, ZstdError } from '../zstd/decompress.ts';
import { compareWithRecord, RECORD_FILE, readRecord } from './runtime/record.ts';

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
  const { changed, same } = compareWithRecord(directory);
  const isRecorded = readRecord(directory)?.platform === platform;
  const defects = runtimeNames(platform).flatMap((raw) => {
    const name = `${raw}.zst`;
    // What was verified when it was staged is whole, and for that platform.
    if (isRecorded && same.includes(name)) return [];
    const reason =
      fileDefect(join(directory, name), platform, raw) ??
      (changed.includes(name) ? `other content than ${RECORD_FILE} says was verified` : undefined);
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
    const content = readContent(path);
    return content.length === 0 ? 'no content' : machineDefect(content, platform, raw);
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

const ELF = '\x7fELF';
const MACH_O_64 = 0xfeedfacf;

/** For what other machine a file is, in a few words; `undefined` for one of the platform, and for what is neither. */
export function machineDefect(content: Buffer, platform: VmPlatform, raw: string): string | undefined {
  const { arch, os } = PLATFORMS[platform];
  const wanted = raw === GUEST_PROGRAM ? 'linux' : os;
  if (content.length < 20) return undefined;
  if (content.toString('latin1', 0, 4) === ELF) {
    const machine = machineName(content.readUInt16LE(18));
    return wanted === 'linux' && machine === MACHINE_NAMES[arch] ? undefined : `for Linux on ${machine}`;
  }
  return content.readUInt32LE(0) === MACH_O_64 && wanted !== 'darwin' ? 'for macOS' : undefined;
}

const MACH_O_FAT = 0xcafebabe;
const FAT_ARCHES_MAX = 16;
const HEAD_BYTES = 64;

/** Why a content is no whole program of a platform, in a few words. */
export function programDefect(content: Buffer, platform: VmPlatform, raw: string): string | undefined {
  const { arch, os } = PLATFORMS[platform];
  if (content.length < HEAD_BYTES) return `${content.length} bytes`;
  if (raw === GUEST_PROGRAM || os === 'linux') {
    const verdict = inspectExecutable({ name: raw, content }, { machine: arch });
    return verdict.ok ? undefined : `no program for Linux on ${arch} (${verdict.reasons.join('; ')})`;
  }
  if (content.readUInt32LE(0) === MACH_O_64) return undefined;
  return content.readUInt32BE(0) === MACH_O_FAT ? cutOff(content) : 'no program for macOS';
}

/** A universal program lists its parts by their places (mach-o/fat.h). */
function cutOff(content: Buffer): string | undefined {
  const count = Math.min(content.readUInt32BE(4), FAT_ARCHES_MAX);
  const ends = Array.from({ length: count }, (_, index) => {
    const at = 8 + 20 * index;
    return at + 20 > content.length ? Infinity : content.readUInt32BE(at + 8) + content.readUInt32BE(at + 12);
  });
  return count === 0 || ends.some((end) => end > content.length) ? 'cut off' : undefined;
}
