// SPDX-License-Identifier: Apache-2.0

/** The head of a Mach-O file (mach-o/loader.h, mach-o/fat.h): for which processors a Mac's executable is. Pure. */

import type { Arch } from '../../host.ts';

/** As much of a file as its head can have. */
export const MACH_O_HEAD_BYTES = 4096;

const THIN_64 = 0xfeedfacf;
/** A universal file; its numbers are big-endian. Java's class files begin so too, with a count that is not as small. */
const UNIVERSAL = 0xcafebabe;
const UNIVERSAL_64 = 0xcafebabf;
const SLICES_MAX = 20;
const EXECUTE = 2;

const CPU_TYPES: Readonly<Record<number, Arch>> = { 16777223: 'amd64', 16777228: 'arm64' };

/**
 * The processors that an executable is for; empty for a file that is not one.
 * @param head the first bytes of the file
 */
export function machOArches(head: Buffer): Arch[] {
  if (head.length < 16) return [];
  if (head.readUInt32LE(0) === THIN_64) {
    const arch = CPU_TYPES[head.readUInt32LE(4)];
    return arch !== undefined && head.readUInt32LE(12) === EXECUTE ? [arch] : [];
  }
  const magic = head.readUInt32BE(0);
  const count = head.readUInt32BE(4);
  if ((magic !== UNIVERSAL && magic !== UNIVERSAL_64) || count > SLICES_MAX) return [];
  const size = magic === UNIVERSAL ? 20 : 32;
  const offsets = Array.from({ length: count }, (_, index) => 8 + index * size).filter((at) => at + 4 <= head.length);
  return offsets.flatMap((at) => CPU_TYPES[head.readUInt32BE(at)] ?? []);
}
