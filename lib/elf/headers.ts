// SPDX-License-Identifier: Apache-2.0

/**
 * The ELF header, the program header table and the section header table of a 64-bit little-endian ELF file, which has to
 * have all that they name. Source: System V gABI (chapters 4 and 5).
 */

import type { Arch } from '../host.ts';
import { type ByteSource, damaged, ElfError, hex } from './byte-source.ts';

/** The ELF header (Elf64_Ehdr): its size, and the positions of fields from its start. */
const EHDR = { bytes: 64, class: 4, data: 5, type: 16, machine: 18 } as const;
/** The two tables, with the fields in which the ELF header says where each is and how large. */
const SEGMENTS = { name: 'program header', recordBytes: 56, offset: 32, entrySize: 54, count: 56 } as const;
const SECTIONS = { name: 'section header', recordBytes: 64, offset: 40, entrySize: 58, count: 60 } as const;

export const ET = { none: 0, rel: 1, exec: 2, dyn: 3, core: 4 } as const;
export const PT = { null: 0, load: 1, dynamic: 2, interp: 3 } as const;
export const SHT = { null: 0, dynamic: 6, nobits: 8 } as const;

const MACHINES: Readonly<Record<number, string>> = {
  ...{ 3: 'i386', 21: 'ppc64', 22: 's390x', 40: 'arm', 62: 'x86-64', 183: 'aarch64', 243: 'riscv64' },
};

/** The names of the machines that a binary is shipped for. */
export const MACHINE_NAMES: Readonly<Record<Arch, string>> = { amd64: 'x86-64', arm64: 'aarch64' };

export interface Headers {
  /** e_type as its number. */
  type: number;
  /** Common name: `x86-64`, `aarch64`; `machine 1234` when it has none here. */
  machine: string;
  segments: Segment[];
  /** Empty in a file that was stripped of its section headers. */
  sections: Section[];
}

/** A program header (Elf64_Phdr). */
export type Segment = ReturnType<typeof decodeSegment>;
/** A section header (Elf64_Shdr). */
export type Section = ReturnType<typeof decodeSection>;

/** @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or something is not all there */
export function readHeaders(source: ByteSource): Headers {
  const header = source.read(0, Math.min(EHDR.bytes, source.size));
  checkIsElf(header);
  checkEncoding(header);
  const segments = readTable(source, header, SEGMENTS, decodeSegment);
  const sections = readTable(source, header, SECTIONS, decodeSection);
  for (const { label, type, offset, fileSize, memorySize } of segments) {
    // PT_NULL is an unused entry, and an empty segment (PT_GNU_STACK) has no place in the file.
    const isInFile = type === PT.load || (type !== PT.null && fileSize > 0n);
    if (isInFile) checkEnd(`${label}: segment`, offset + fileSize, source.size);
    if (type === PT.load && fileSize > memorySize) {
      throw damaged(`${label}: segment has ${hex(fileSize)} bytes in the file but only ${hex(memorySize)} in memory`);
    }
  }
  for (const { label, type, offset, size } of sections) {
    const isInFile = type !== SHT.null && type !== SHT.nobits && size > 0n;
    if (isInFile) checkEnd(`${label}: section`, offset + size, source.size);
  }
  const machine = machineName(header.readUInt16LE(EHDR.machine));
  return { type: header.readUInt16LE(EHDR.type), machine, segments, sections };
}

function checkEnd(what: string, end: bigint, size: number): void {
  if (end > size) throw damaged(`${what} ends at ${hex(end)} but the file has ${size} bytes`);
}

/** The name of an e_machine, such as `x86-64`; a machine without a name here as `machine 1234`. */
function machineName(machine: number): string {
  return MACHINES[machine] ?? `machine ${machine}`;
}

function checkIsElf(header: Buffer): void {
  if (header.toString('latin1', 0, 4) !== '\x7fELF') {
    throw new ElfError(`is not an ELF file: it ${beginningOf(header)}; wanted a Linux binary`);
  }
  if (header.length < EHDR.bytes) {
    throw damaged(`ELF header at offset 0x0: it has ${EHDR.bytes} bytes but the file has ${header.length}`);
  }
}

/** First bytes, in hex, of files that users have put where an ELF binary belongs. */
const OTHER_FORMATS = [
  ['2321', "is a script ('#!')"],
  ['cffaedfe', 'is a Mach-O binary, built for macOS'],
  ['cafebabe', 'is a Mach-O universal binary, built for macOS'],
  ['28b52ffd', 'is compressed with zstd'],
  ['1f8b', 'is compressed with gzip'],
] as const;

function beginningOf(bytes: Buffer): string {
  if (bytes.length === 0) return 'is empty';
  const start = bytes.toString('hex', 0, 8);
  const known = OTHER_FORMATS.find(([magic]) => start.startsWith(magic));
  return known?.[1] ?? `begins with the bytes ${start.replace(/..(?=.)/g, '$& ')}`;
}

/** Refuses what cannot ship, with the machine that it is for. */
function checkEncoding(header: Buffer): void {
  const [elfClass, data] = [header.readUInt8(EHDR.class), header.readUInt8(EHDR.data)];
  if (elfClass === 2 && data === 1) return;
  const machine = data === 2 ? header.readUInt16BE(EHDR.machine) : header.readUInt16LE(EHDR.machine);
  const bits = { 1: '32-bit', 2: '64-bit' }[elfClass] ?? `class ${elfClass}`;
  const encoding = `${bits}${data === 1 ? '' : data === 2 ? ' big-endian' : ` byte order ${data}`}`;
  throw new ElfError(
    `is a ${encoding} ${machineName(machine)} ELF file, wanted 64-bit little-endian (amd64 or arm64); ` +
      'build it for amd64 or arm64',
  );
}

/** The records of a table, which has to be in the file with all of them. */
function readTable<Entry>(
  source: ByteSource,
  header: Buffer,
  { name, recordBytes, ...table }: typeof SEGMENTS | typeof SECTIONS,
  decode: (label: string, bytes: Buffer) => Entry,
): Entry[] {
  const [offset, count] = [header.readBigUInt64LE(table.offset), header.readUInt16LE(table.count)];
  if (count === 0) return [];
  const entrySize = header.readUInt16LE(table.entrySize);
  const where = `${name} table at offset ${hex(offset)}`;
  if (entrySize !== recordBytes) throw damaged(`${where}: its entries have ${entrySize} bytes, wanted ${recordBytes}`);
  if (offset < EHDR.bytes) throw damaged(`${where}: its ${count} entries would begin inside the ELF header`);
  checkEnd(`${where}: ${count} entries of ${recordBytes} bytes:`, offset + BigInt(count * recordBytes), source.size);
  const start = Number(offset);
  const bytes = source.read(start, count * recordBytes);
  return Array.from({ length: count }, (_, index) => {
    const at = index * recordBytes;
    return decode(`${name} ${index} at offset ${hex(start + at)}`, bytes.subarray(at));
  });
}

function decodeSegment(label: string, bytes: Buffer) {
  return {
    /** Its program header in a message: `program header 1 at offset 0x78`. */
    label,
    type: bytes.readUInt32LE(0),
    offset: bytes.readBigUInt64LE(8),
    address: bytes.readBigUInt64LE(16),
    fileSize: bytes.readBigUInt64LE(32),
    memorySize: bytes.readBigUInt64LE(40),
  };
}

function decodeSection(label: string, bytes: Buffer) {
  return {
    /** Its section header in a message: `section header 1 at offset 0x400`. */
    label,
    type: bytes.readUInt32LE(4),
    offset: bytes.readBigUInt64LE(24),
    size: bytes.readBigUInt64LE(32),
  };
}
