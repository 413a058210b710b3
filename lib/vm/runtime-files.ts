// SPDX-License-Identifier: Apache-2.0

/** What a complete VM runtime is, and where: the driver's build takes an empty stub for each file that is missing. */

import { hash } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { type Environment, readPath } from '../cli/env.ts';
import { inspectExecutable, inspectLibrary } from '../elf/verify.ts';
import { failure, usageError } from '../errors.ts';
import type { LockedPlace } from '../fs/lock.ts';
import { asOwner } from '../fs/ownership.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';
import { bytesIn, contentOf } from '../fs/paths.ts';
import type { Host } from '../host.ts';
import { DRIVER } from '../product.ts';
import { readContent, ZstdError } from '../zstd/decompress.ts';
import { machODefect } from './mach-o.ts';

/** The guest's supervisor, which the bundle task builds; everything else comes from `vm:setup`. */
export const BUNDLE_FILE = 'openshell-sandbox.zst';
/** Where the files come from; the driver does not read it. */
export const PROVENANCE_FILE = 'provenance.json';
/** What the files were when they were staged. */
export const RECORD_FILE = '.verified.json';

const VARIABLE = 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR';
/** What a user can do where the directory cannot be used. */
export const DIRECTORY_REMEDY = `set ${VARIABLE} to another directory`;

const LINUX = { os: 'linux', krun: 'libkrun.so', krunfw: 'libkrunfw.so.5' } as const;
const DARWIN = { os: 'darwin', krun: 'libkrun.dylib', krunfw: 'libkrunfw.5.dylib' } as const;

/** The machine of each platform and its guests, the names of its libraries, and that of gvproxy in its release. */
export const PLATFORMS = {
  'linux-x86_64': { ...LINUX, arch: 'amd64', gvproxy: 'gvproxy-linux-amd64' },
  'linux-aarch64': { ...LINUX, arch: 'arm64', gvproxy: 'gvproxy-linux-arm64' },
  'darwin-aarch64': { ...DARWIN, arch: 'arm64', gvproxy: 'gvproxy-darwin' },
} as const;

/** A platform that VM sandboxes run on. */
export type VmPlatform = keyof typeof PLATFORMS;

export const VM_PLATFORMS = Object.keys(PLATFORMS) as VmPlatform[];

/** The program that the guest runs: for Linux on every platform. */
const GUEST_PROGRAM = 'umoci';

/** The directory of the runtime, absolute, and without a slash at its end, behind which a link is not seen. */
export function runtimeDirectory(env: Environment, root: string, startDirectory: string): string {
  return resolve(readPath(env, VARIABLE, startDirectory) ?? join(root, 'target/vm-runtime-compressed'));
}

/** A file or directory beside another one, which is replaced whole. */
export function beside(path: string, ending: string): string {
  return join(dirname(path), `.${basename(path)}.${ending}`);
}

/** One run at a time writes into a runtime's directory, the bundle's included. */
export function runtimeLock(directory: string): LockedPlace {
  return { path: beside(directory, 'lock'), remedy: DIRECTORY_REMEDY };
}

/** The platform of a host. @throws usageError for one that has no VM driver */
export function vmPlatformOf({ platform, arch }: Host): VmPlatform {
  const found = VM_PLATFORMS.find((name) => PLATFORMS[name].os === platform && PLATFORMS[name].arch === arch);
  if (found !== undefined) return found;
  const allowed = `it runs on ${VM_PLATFORMS.join(', ')}; use one of them, or another driver`;
  throw usageError(`the VM driver does not run on ${platform} ${arch ?? 'of this architecture'}; ${allowed}`);
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

/** SHA-256s by the names of their files. */
export type Digests = Readonly<Record<string, string>>;

/** What is recorded of a runtime when it is staged. */
export interface RuntimeRecord {
  readonly platform: string;
  /** What was asked for, for users: the release, and the versions of the programs. */
  readonly wanted: string;
  /** The files of releases that it is made of, by their paths below the server. */
  readonly sources: Digests;
  /** How the files were verified, for users; absent for an archive that the user named. */
  readonly verified?: string | undefined;
  /** The compressed files. */
  readonly files: Digests;
}

/** The record of the runtime in a directory; `undefined` where it has none for the platform. */
export function readRecord(directory: string, platform: VmPlatform): RuntimeRecord | undefined {
  const record = parseTable(bytesOf(directory, RECORD_FILE).toString());
  if (record?.platform !== platform || !isTable(record.files) || !isTable(record.sources)) return undefined;
  return record as unknown as RuntimeRecord;
}

export function sha256Of(content: Uint8Array): string {
  return hash('sha256', content);
}

/** Root reads as the user to whom the directory belongs: a link in it leads where that user may go. */
function bytesOf(directory: string, name: string): Buffer {
  const path = join(directory, name);
  return asOwner(path, () => bytesIn(path)) ?? Buffer.alloc(0);
}

/** The files of the runtime in a directory that the driver could not use, or should not, and why: `not there`. */
export function runtimeDefects(directory: string, platform: VmPlatform) {
  const record = readRecord(directory, platform);
  return runtimeNames(platform).flatMap((raw) => {
    const name = `${raw}.zst`;
    return defectOf(directory, name, platform, raw, record?.files[name]);
  });
}

/** The same for everything that a driver embeds: the runtime, and the supervisor that goes with it. */
export function embeddedDefects(directory: string, platform: VmPlatform) {
  return [...runtimeDefects(directory, platform), ...defectOf(directory, BUNDLE_FILE, platform, GUEST_PROGRAM)];
}

function defectOf(directory: string, name: string, platform: VmPlatform, raw: string, wanted?: string) {
  // What was whole when it was staged still is.
  if (wanted !== undefined && sha256Of(bytesOf(directory, name)) === wanted) return [];
  const other = wanted === undefined ? undefined : `other content than ${RECORD_FILE} says was verified`;
  try {
    const reason = partDefect(readContent(join(directory, name)), platform, raw) ?? other;
    return reason === undefined ? [] : [{ name, reason }];
  } catch (error) {
    if (error instanceof ZstdError) return [{ name, reason: error.message }];
    throw error;
  }
}

/** The defects in one text: `libkrun.so.zst (not there), umoci.zst (cut off)`. */
export function defectsText(defects: ReturnType<typeof runtimeDefects>): string {
  return defects.map(({ name, reason }) => `${name} (${reason})`).join(', ');
}

/** What to say of a complete runtime that was not verified, for whoever embeds it; `undefined` where it was. */
export function distrustOf(directory: string, platform: VmPlatform): string | undefined {
  if (readRecord(directory, platform)?.verified !== undefined) return undefined;
  return `the VM runtime in ${directory} is NOT verified; set it up: mise run vm:setup -- --force`;
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

/** @throws failure saying what of runtime and supervisor a driver that was just built does not have in it */
export function verifyEmbedded(driver: string, directory: string, platform: VmPlatform): void {
  const problem = embeddingProblem(driver, directory, platform);
  const cause = 'another cargo run may have built it, or another task have replaced the files';
  if (problem) throw failure(`${problem}; ${cause}: run cargo clean -p ${DRIVER.package}, and this again`);
}

/** Why a driver does not have the files of a directory in it, for users; `undefined` where it has them all. */
export function embeddingProblem(driver: string, directory: string, platform: VmPlatform): string | undefined {
  const defects = runtimeDefects(directory, platform);
  if (defects.length > 0) return `the VM runtime in ${directory} was replaced: ${defectsText(defects)}`;
  const program = contentOf(driver);
  const names = [...runtimeFiles(platform), BUNDLE_FILE];
  const absent = names.filter((name) => {
    const content = bytesOf(directory, name);
    return content.length === 0 || !program.includes(content);
  });
  return absent.length === 0 ? undefined : `${driver} does not have ${absent.join(', ')} of ${directory} in it`;
}
