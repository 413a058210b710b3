// SPDX-License-Identifier: Apache-2.0

/** Mach-O files (mach-o/loader.h, mach-o/fat.h): for which processors one is. Pure. */

import type { Arch } from '../host.ts';

const THIN_64 = 0xfeedfacf;
/** A universal file; its numbers are big-endian. Java's class files begin so too, with a count that is not as small. */
const UNIVERSAL = 0xcafebabe;
const SLICES_MAX = 20;
const SLICE_BYTES = 20;
const EXECUTE = 2;
const DYLIB = 6;

const CPU_TYPES: Readonly<Record<number, Arch>> = { 16777223: 'amd64', 16777228: 'arm64' };

/** The processors that a program is for, or a library, which is never universal; empty for anything else. */
export function machOArches(content: Buffer, isLibrary = false): Arch[] {
  if (content.length < 16) return [];
  if (content.readUInt32LE(0) === THIN_64) {
    const arch = CPU_TYPES[content.readUInt32LE(4)];
    return arch !== undefined && content.readUInt32LE(12) === (isLibrary ? DYLIB : EXECUTE) ? [arch] : [];
  }
  const count = content.readUInt32BE(4);
  if (content.readUInt32BE(0) !== UNIVERSAL || count > SLICES_MAX || isLibrary) return [];
  const offsets = Array.from({ length: count }, (_, index) => 8 + index * SLICE_BYTES);
  return offsets.flatMap((at) => (at + 4 > content.length ? [] : (CPU_TYPES[content.readUInt32BE(at)] ?? [])));
}

/** Why a content is not a program or library for a processor, in a few words; `undefined` where it is. */
export function machODefect(content: Buffer, arch: Arch, isLibrary: boolean): string | undefined {
  if (machOArches(content, isLibrary).includes(arch)) return undefined;
  return `no ${isLibrary ? 'library' : 'program'} for macOS on ${arch}`;
}
