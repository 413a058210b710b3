// SPDX-License-Identifier: Apache-2.0

import { type ByteSource, damaged, ElfError, hex } from './byte-source.ts';
/** The ELF header, the program header table and the section header table of a 64-bit little-endian ELF file. */
import { EHDR, EHDR_SECTIONS, EHDR_SEGMENTS, EXTENDED, machineName, PHDR, PT, SHDR } from './format.ts';

export interface Headers {
  /** e_type as its number. */
  type: number;
  /** Common name: `x86-64`, `aarch64`; `machine 1234` when it has none here. */
  machine: string;
  segments: Segment[];
  /** Empty in a file that was stripped of its section headers. */
  sections: Section[];
}

export type Segment = ReturnType<typeof decodeSegment>;
export type Section = ReturnType<typeof decodeSection>;

/** @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or a table is not all there */
export function readHeaders(source: ByteSource): Headers {
  const header = source.read(0, Math.min(EHDR.bytes, source.size));
  checkIsElf(header);
  checkEncoding(header);
  checkNumbering(header);
  const [identVersion, version] = [header.readUInt8(EHDR.identVersion), header.readUInt32LE(EHDR.version)];
  if (identVersion !== 1) throw damaged(`ELF version at offset ${hex(EHDR.identVersion)} is ${identVersion}, wanted 1`);
  if (version !== 1) throw damaged(`e_version at offset ${hex(EHDR.version)} is ${version}, wanted 1`);
  const segments = readTable(source, header, EHDR_SEGMENTS, decodeSegment);
  const sections = readTable(source, header, EHDR_SECTIONS, decodeSection);
  const names = header.readUInt16LE(EHDR_SECTIONS.namesIndex);
  if (names !== 0 && names >= sections.length) {
    throw damaged(`e_shstrndx is ${names} but there are ${sections.length} section headers`);
  }
  const machine = machineName(header.readUInt16LE(EHDR.machine));
  return { type: header.readUInt16LE(EHDR.type), machine, segments, sections };
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
  ['cefaedfe', 'is a Mach-O binary, built for macOS'],
  ['cafebabe', 'is a Mach-O universal binary, built for macOS'],
  ['4d5a', 'is a PE binary, built for Windows'],
  ['213c617263683e', 'is a static library (ar archive)'],
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
  if (elfClass < 1 || elfClass > 2 || data < 1 || data > 2) {
    const found = `ELF class at offset 0x4 is ${elfClass} and byte order at offset 0x5 is ${data}`;
    throw damaged(`${found}, wanted 2 (64-bit) and 1 (little-endian)`);
  }
  const machine = data === 1 ? header.readUInt16LE(EHDR.machine) : header.readUInt16BE(EHDR.machine);
  const encoding = `${elfClass === 1 ? '32-bit' : '64-bit'}${data === 1 ? '' : ' big-endian'}`;
  throw new ElfError(
    `is a ${encoding} ${machineName(machine)} ELF file, wanted 64-bit little-endian (amd64 or arm64); ` +
      'build it for amd64 or arm64',
  );
}

/** Refuses counts over 65,000, which are kept elsewhere: only huge object files and core dumps have them. */
function checkNumbering(header: Buffer): void {
  const segments = header.readUInt16LE(EHDR_SEGMENTS.count);
  const sections = header.readUInt16LE(EHDR_SECTIONS.count);
  const names = header.readUInt16LE(EHDR_SECTIONS.namesIndex);
  const isUncounted = sections === 0 && header.readBigUInt64LE(EHDR_SECTIONS.offset) !== 0n;
  if (segments !== EXTENDED && names !== EXTENDED && !isUncounted) return;
  const found = `e_phnum ${hex(segments)}, e_shnum ${hex(sections)}, e_shstrndx ${hex(names)}`;
  throw new ElfError(
    `is an ELF file with extended numbering (${found}), wanted a binary with fewer than 65,000 segments and sections; ` +
      'name the program, or build it again',
  );
}

/** The records of a table, which has to be in the file with all of them. */
function readTable<Entry>(
  source: ByteSource,
  header: Buffer,
  table: typeof EHDR_SEGMENTS | typeof EHDR_SECTIONS,
  decode: (label: string, bytes: Buffer) => Entry,
): Entry[] {
  const { name, recordBytes } = table;
  const offset = header.readBigUInt64LE(table.offset);
  const entrySize = header.readUInt16LE(table.entrySize);
  const count = header.readUInt16LE(table.count);
  if (count === 0) return [];
  const where = `${name} table at offset ${hex(offset)}`;
  const [length, start] = [count * recordBytes, Number(offset)];
  const end = offset + BigInt(length);
  if (entrySize !== recordBytes) throw damaged(`${where}: its entries have ${entrySize} bytes, wanted ${recordBytes}`);
  if (offset < EHDR.bytes) throw damaged(`${where}: its ${count} entries would begin inside the ELF header`);
  if (end > source.size) {
    const found = `${count} entries of ${recordBytes} bytes end at ${hex(end)}`;
    throw damaged(`${where}: ${found} but the file has ${source.size} bytes`);
  }
  const bytes = source.read(start, length);
  return Array.from({ length: count }, (_, index) => {
    const at = index * recordBytes;
    return decode(`${name} ${index} at offset ${hex(start + at)}`, bytes.subarray(at));
  });
}

function decodeSegment(label: string, bytes: Buffer) {
  return {
    /** Its program header in a message: `program header 1 at offset 0x78`. */
    label,
    type: bytes.readUInt32LE(PHDR.type),
    offset: bytes.readBigUInt64LE(PHDR.offset),
    address: bytes.readBigUInt64LE(PHDR.address),
    fileSize: bytes.readBigUInt64LE(PHDR.fileSize),
    memorySize: bytes.readBigUInt64LE(PHDR.memorySize),
  };
}

function decodeSection(label: string, bytes: Buffer) {
  return {
    /** Its section header in a message: `section header 1 at offset 0x400`. */
    label,
    type: bytes.readUInt32LE(SHDR.type),
    offset: bytes.readBigUInt64LE(SHDR.offset),
    size: bytes.readBigUInt64LE(SHDR.size),
    link: bytes.readUInt32LE(SHDR.link),
  };
}

/** A range of the file. */
export interface LoadedPlace {
  offset: number;
  /** The offset after its last byte. */
  end: number;
}

/** From the byte that is loaded at an address to the end of its segment's bytes: one place in a sound file. */
export function loadedPlaces(segments: readonly Segment[], address: bigint): LoadedPlace[] {
  return segments.flatMap(({ type, offset, address: start, fileSize }) => {
    if (type !== PT.load || address < start || address >= start + fileSize) return [];
    return [{ offset: Number(offset + (address - start)), end: Number(offset + fileSize) }];
  });
}
