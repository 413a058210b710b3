// SPDX-License-Identifier: Apache-2.0

/** Mach-O files (mach-o/loader.h, mach-o/fat.h): for which processors one is, and whether it is whole. Pure. */

import type { Arch } from '../host.ts';

const THIN_64 = 0xfeedfacf;
/** A universal file; its numbers are big-endian. Java's class files begin so too, with a count that is not as small. */
const UNIVERSAL = 0xcafebabe;
const SLICES_MAX = 20;
const SLICE_BYTES = 20;
const EXECUTE = 2;
const DYLIB = 6;
const HEADER_BYTES = 32;
const SEGMENT_64 = 0x19;
const SEGMENT_64_BYTES = 72;

const CPU_TYPES: Readonly<Record<number, Arch>> = { 16777223: 'amd64', 16777228: 'arm64' };

/**
 * The processors that a file is for; empty for one that is not of the type. A library that is universal is none.
 * @param head the first bytes of the file
 */
export function machOArches(head: Buffer, fileType = EXECUTE): Arch[] {
  if (head.length < 16) return [];
  if (head.readUInt32LE(0) === THIN_64) {
    const arch = CPU_TYPES[head.readUInt32LE(4)];
    return arch !== undefined && head.readUInt32LE(12) === fileType ? [arch] : [];
  }
  const count = head.readUInt32BE(4);
  if (head.readUInt32BE(0) !== UNIVERSAL || count > SLICES_MAX || fileType !== EXECUTE) return [];
  const offsets = Array.from({ length: count }, (_, index) => 8 + index * SLICE_BYTES);
  return offsets.flatMap((at) => (at + 4 > head.length ? [] : (CPU_TYPES[head.readUInt32BE(at)] ?? [])));
}

/** Why a content is not a whole program or library for a processor, in a few words; `undefined` where it is. */
export function machODefect(content: Buffer, arch: Arch, isLibrary: boolean): string | undefined {
  if (!machOArches(content, isLibrary ? DYLIB : EXECUTE).includes(arch)) {
    return `no ${isLibrary ? 'library' : 'program'} for macOS on ${arch}`;
  }
  return lastEnd(content) > content.length ? 'cut off' : undefined;
}

/** Where the last segment, or the last slice, ends; behind everything where the list of them is cut off. */
function lastEnd(content: Buffer): number {
  const isThin = content.readUInt32LE(0) === THIN_64;
  let [at, end] = isThin ? [HEADER_BYTES, 0] : [8, 0];
  for (let left = isThin ? content.readUInt32LE(16) : content.readUInt32BE(4); left > 0; left--) {
    const size = isThin && at + 8 <= content.length ? content.readUInt32LE(at + 4) : SLICE_BYTES;
    if (size < 8 || at + size > content.length) return Infinity;
    if (!isThin) end = Math.max(end, content.readUInt32BE(at + 8) + content.readUInt32BE(at + 12));
    else if (content.readUInt32LE(at) === SEGMENT_64 && size >= SEGMENT_64_BYTES) {
      end = Math.max(end, Number(content.readBigUInt64LE(at + 40) + content.readBigUInt64LE(at + 48)));
    }
    at += size;
  }
  return end;
}
