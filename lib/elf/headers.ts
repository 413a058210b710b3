// SPDX-License-Identifier: Apache-2.0

/**
 * The ELF header, the program header table and the section header table, extended numbering included. A header that
 * cannot be made sense of throws; what is wrong with a table is put down as a defect, and what can be read is read.
 */
import { type Encoding, EXTENDED, Fields, LAYOUT, PT } from './format.ts';
import { type ByteSource, ElfError, hex } from './source.ts';

export interface ElfHeader extends Encoding {
  /** e_type and e_machine as numbers. */
  type: number;
  machine: number;
  entry: bigint;
  segments: TableClaim;
  sections: TableClaim;
  sectionNamesIndex: number;
}

/** What the header says about a table of records. */
interface TableClaim {
  offset: bigint;
  entrySize: number;
  count: number;
}

export interface Segment {
  index: number;
  /** Where its program header is, in the file. */
  headerOffset: number;
  type: number;
  offset: bigint;
  address: bigint;
  fileSize: bigint;
  memorySize: bigint;
}

export interface Section {
  index: number;
  /** Where its section header is, in the file. */
  headerOffset: number;
  type: number;
  offset: bigint;
  size: bigint;
  link: number;
  info: number;
}

export interface Tables {
  segments: Segment[];
  sections: Section[];
  /** Both tables were read whole, so what is not in them is not in the file's headers either. */
  complete: boolean;
}

/** Records that a table may have. Linkers stay under 100; core files and objects reach some ten thousand. */
const MAX_RECORDS = 0x20000;

/** Notes what is wrong with the file; the reading goes on. */
export type Report = (defect: string) => void;

/**
 * @throws ElfError when the file is not an ELF file, or its header is cut off or of an unknown class or byte order
 */
export function readHeader(source: ByteSource, report: Report): ElfHeader {
  const encoding = readIdentification(source.read(0, Math.min(16, source.size)), report);
  const at = LAYOUT[encoding.class].header;
  if (source.size < at.size) {
    throw new ElfError(
      `ELF header at offset 0x0: a ${encoding.class}-bit one has ${at.size} bytes but the file has ${source.size}; ` +
        'build or copy it again',
    );
  }
  const fields = new Fields(source.read(0, at.size), encoding);
  const version = fields.u32(20);
  if (version !== 1) report(`e_version at offset 0x14 is ${version}, wanted 1`);
  return {
    ...encoding,
    type: fields.u16(16),
    machine: fields.u16(18),
    entry: fields.word(at.entry),
    segments: { offset: fields.word(at.phoff), entrySize: fields.u16(at.phentsize), count: fields.u16(at.phnum) },
    sections: { offset: fields.word(at.shoff), entrySize: fields.u16(at.shentsize), count: fields.u16(at.shnum) },
    sectionNamesIndex: fields.u16(at.strndx),
  };
}

function readIdentification(bytes: Uint8Array, report: Report): Encoding {
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw new ElfError(`is not an ELF file: it ${beginning(bytes)}; wanted a Linux binary`);
  }
  if (bytes.length < 16) {
    throw new ElfError(`ELF identification at offset 0x0: it has 16 bytes but the file has ${bytes.length}`);
  }
  const [elfClass, data, version] = [bytes[4], bytes[5], bytes[6]];
  if (elfClass !== 1 && elfClass !== 2) {
    throw new ElfError(`ELF class at offset 0x4 is ${elfClass}, wanted 1 (32-bit) or 2 (64-bit)`);
  }
  if (data !== 1 && data !== 2) {
    throw new ElfError(`ELF byte order at offset 0x5 is ${data}, wanted 1 (little-endian) or 2 (big-endian)`);
  }
  if (version !== 1) report(`ELF version at offset 0x6 is ${version}, wanted 1`);
  return { class: elfClass === 2 ? 64 : 32, endian: data === 1 ? 'little' : 'big' };
}

/** First bytes, in hex, of files that users have put where an ELF binary belongs. */
const OTHER_FORMATS: readonly (readonly [string, string])[] = [
  ['2321', "is a script ('#!')"],
  ['cffaedfe', 'is a Mach-O binary, built for macOS'],
  ['cefaedfe', 'is a Mach-O binary, built for macOS'],
  ['cafebabe', 'is a Mach-O universal binary, built for macOS'],
  ['4d5a', 'is a PE binary, built for Windows'],
  ['213c617263683e', 'is a static library (ar archive)'],
  ['28b52ffd', 'is compressed with zstd'],
  ['1f8b', 'is compressed with gzip'],
];

function beginning(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'is empty';
  const start = Buffer.from(bytes.subarray(0, 8)).toString('hex');
  const known = OTHER_FORMATS.find(([magic]) => start.startsWith(magic));
  return known?.[1] ?? `begins with the bytes ${start.replace(/..(?=.)/g, '$& ')}`;
}

/** Both tables; a table that is not wholly in the file is a defect, and gives the records that are. */
export function readTables(source: ByteSource, header: ElfHeader, report: Report): Tables {
  let complete = true;
  const note: Report = (defect) => {
    complete = false;
    report(defect);
  };
  const first = header.sections.offset === 0n ? undefined : readSections(source, header, 1, () => {})[0];
  const sections = readSections(source, header, sectionCount(header, first, note), note);
  const segments = readSegments(source, header, segmentCount(header, first, note), note);
  checkSectionNames(header, sections, note);
  return { segments, sections, complete };
}

/** e_shnum 0 with a table: the count is sh_size of section header 0 (gABI, "extended section numbering"). */
function sectionCount(header: ElfHeader, first: Section | undefined, report: Report): number {
  const { offset, count } = header.sections;
  if (offset === 0n) {
    if (count > 0) report(`e_shnum says ${count} section headers but e_shoff is 0, so there is no table`);
    return 0;
  }
  if (count > 0) return count;
  if (first !== undefined && first.size > 0n) return Number(first.size);
  report(`section header table at offset ${hex(offset)}: neither e_shnum nor section header 0 says how many there are`);
  return 0;
}

/** e_phnum 0xffff (PN_XNUM): the count is sh_info of section header 0. */
function segmentCount(header: ElfHeader, first: Section | undefined, report: Report): number {
  if (header.segments.count !== EXTENDED) return header.segments.count;
  if (first !== undefined && first.info > 0) return first.info;
  report('e_phnum is 0xffff (PN_XNUM) but section header 0 does not say how many program headers there are');
  return 0;
}

function checkSectionNames(header: ElfHeader, sections: Section[], report: Report): void {
  const index = header.sectionNamesIndex === EXTENDED ? sections[0]?.link : header.sectionNamesIndex;
  if (index !== undefined && index !== 0 && index >= sections.length) {
    report(`e_shstrndx is ${index} but there are ${sections.length} section headers`);
  }
}

function readSegments(source: ByteSource, header: ElfHeader, count: number, report: Report): Segment[] {
  const at = LAYOUT[header.class].segment;
  const table = readTable(source, 'program header', { ...header.segments, count }, at.size, report);
  const fields = new Fields(table, header);
  return records(table, at.size, Number(header.segments.offset), (start, index, headerOffset) => ({
    index,
    headerOffset,
    type: fields.u32(start + at.type),
    offset: fields.word(start + at.offset),
    address: fields.word(start + at.vaddr),
    fileSize: fields.word(start + at.filesz),
    memorySize: fields.word(start + at.memsz),
  }));
}

function readSections(source: ByteSource, header: ElfHeader, count: number, report: Report): Section[] {
  const at = LAYOUT[header.class].section;
  const table = readTable(source, 'section header', { ...header.sections, count }, at.size, report);
  const fields = new Fields(table, header);
  return records(table, at.size, Number(header.sections.offset), (start, index, headerOffset) => ({
    index,
    headerOffset,
    type: fields.u32(start + at.type),
    offset: fields.word(start + at.offset),
    size: fields.word(start + at.bytes),
    link: fields.u32(start + at.link),
    info: fields.u32(start + at.info),
  }));
}

function records<Row>(
  table: Uint8Array,
  size: number,
  offset: number,
  decode: (start: number, index: number, headerOffset: number) => Row,
): Row[] {
  return Array.from({ length: table.length / size }, (_, index) => decode(index * size, index, offset + index * size));
}

/** The bytes of the records that lie in the file, in whole records: none when the table cannot be relied on at all. */
function readTable(source: ByteSource, name: string, claim: TableClaim, size: number, report: Report): Uint8Array {
  const { offset, count } = claim;
  const nothing = new Uint8Array(0);
  if (count === 0) return nothing;
  const where = `${name} table at offset ${hex(offset)}`;
  if (claim.entrySize !== size) {
    report(`${where}: its entries have ${claim.entrySize} bytes, wanted ${size}`);
    return nothing;
  }
  if (count > MAX_RECORDS) {
    report(`${where}: it claims ${count} entries, more than the ${MAX_RECORDS} that are believed`);
    return nothing;
  }
  const end = offset + BigInt(count * size);
  if (end <= source.size) return source.read(Number(offset), count * size);
  report(`${where}: ${count} entries of ${size} bytes end at ${hex(end)} but the file has ${source.size} bytes`);
  if (offset > source.size) return nothing;
  const available = source.size - Number(offset);
  return source.read(Number(offset), available - (available % size));
}

/** The offsets of the bytes that are loaded at an address: one in a sound file, none when it is not in the file. */
export function fileOffsets(segments: Segment[], address: bigint): bigint[] {
  const offsets = segments
    .filter(({ type, address: start, fileSize }) => type === PT.load && address >= start && address < start + fileSize)
    .map((segment) => segment.offset + (address - segment.address));
  return [...new Set(offsets)];
}
