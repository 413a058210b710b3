// SPDX-License-Identifier: Apache-2.0

/**
 * What the loader is told: the interpreter (PT_INTERP), and from the dynamic section (PT_DYNAMIC) the needed
 * libraries, DF_1_PIE, and where the version needs are. Each function throws on the first thing that is wrong.
 */
import { DF_1_PIE, DT, type Encoding, Fields, LAYOUT } from './format.ts';
import { fileOffsets, type Segment } from './headers.ts';
import { type ByteSource, ElfError, hex } from './source.ts';

export interface Dynamic {
  /** Names of the libraries (DT_NEEDED), in their order. */
  needed: string[];
  /** DF_1_PIE is set: a position-independent executable and not a shared library. */
  isPie: boolean;
  /** It has packed relative relocations (DT_RELR), which glibc before 2.36 does not apply. */
  hasRelr: boolean;
  /** DT_VERNEED: where its table is, how many records it claims, and where the strings are. */
  versionTable?: { place: Place; count: bigint; strings: Place };
}

/** A range of the file. */
export interface Place {
  offset: number;
  /** The offset after its last byte. */
  end: number;
}

/** Linux gives up on longer interpreter names (PATH_MAX); library and version names are far shorter. */
const MAX_STRING_BYTES = 4096;
/** A dynamic section has some 30 entries. */
const MAX_DYNAMIC_ENTRIES = 0x10000;
const MAX_NEEDED = 1024;

/**
 * The string at `offset`, which has to end before `end`. What is not UTF-8 becomes replacement characters.
 * @param what names the string in the error
 */
export function readString(source: ByteSource, offset: number, end: number, what: string): string {
  const most = Math.min(end - offset, MAX_STRING_BYTES);
  // Nearly every string is short, so the long read is rarely made.
  for (const length of [Math.min(most, 128), most]) {
    const bytes = length > 0 ? source.read(offset, length) : new Uint8Array(0);
    const terminator = bytes.indexOf(0);
    if (terminator >= 0) return Buffer.from(bytes.subarray(0, terminator)).toString();
  }
  throw new ElfError(`${what} at offset ${hex(offset)} is not terminated by ${hex(offset + most)}`);
}

/** The interpreter's path. @throws ElfError when it is empty, too long, or not terminated inside its segment */
export function readInterpreter(source: ByteSource, segment: Segment): string {
  const place = segmentPlace(source, segment, 'PT_INTERP');
  const path = readString(source, place.offset, place.end, 'interpreter (PT_INTERP)');
  if (path === '') throw new ElfError(`interpreter (PT_INTERP) at offset ${hex(place.offset)} is empty`);
  return path;
}

/**
 * @param segment the PT_DYNAMIC segment
 * @param segments all of them, for turning addresses into offsets
 */
export function readDynamic(source: ByteSource, encoding: Encoding, segment: Segment, segments: Segment[]): Dynamic {
  const entries = readEntries(source, encoding, segmentPlace(source, segment, 'PT_DYNAMIC'));
  const only = (tag: bigint, name: string) => onlyValue(entries, tag, name);
  const strings = () => stringTable(segments, only(DT.strtab, 'DT_STRTAB'), only(DT.strsz, 'DT_STRSZ'));
  const dynamic: Dynamic = {
    needed: readNeeded(source, entries, strings),
    isPie: ((only(DT.flags1, 'DT_FLAGS_1') ?? 0n) & DF_1_PIE) !== 0n,
    hasRelr: only(DT.relr, 'DT_RELR') !== undefined,
  };
  const address = only(DT.verneed, 'DT_VERNEED');
  const count = only(DT.verneednum, 'DT_VERNEEDNUM');
  if ((address === undefined) !== (count === undefined)) {
    throw new ElfError('the dynamic section has only one of DT_VERNEED and DT_VERNEEDNUM');
  }
  if (address === undefined || count === undefined) return dynamic;
  return {
    ...dynamic,
    versionTable: { place: loadedPlace(segments, address, 'DT_VERNEED'), count, strings: strings() },
  };
}

interface Entry {
  tag: bigint;
  value: bigint;
}

/** The entries before DT_NULL, which has to come: the loader reads on until it meets one. */
function readEntries(source: ByteSource, encoding: Encoding, place: Place): Entry[] {
  const { size, value } = LAYOUT[encoding.class].dynamic;
  const count = Math.min(Math.floor((place.end - place.offset) / size), MAX_DYNAMIC_ENTRIES);
  const fields = new Fields(source.read(place.offset, count * size), encoding);
  const entries: Entry[] = [];
  for (let at = 0; at < count * size; at += size) {
    const tag = fields.word(at);
    if (tag === DT.null) return entries;
    entries.push({ tag, value: fields.word(at + value) });
  }
  throw new ElfError(`dynamic section at offset ${hex(place.offset)} has no DT_NULL in its ${count} entries`);
}

function onlyValue(entries: Entry[], tag: bigint, name: string): bigint | undefined {
  const [first, second] = entries.filter((entry) => entry.tag === tag);
  if (second !== undefined) throw new ElfError(`the dynamic section has ${name} more than once`);
  return first?.value;
}

function readNeeded(source: ByteSource, entries: Entry[], strings: () => Place): string[] {
  const indices = entries.filter((entry) => entry.tag === DT.needed).map((entry) => entry.value);
  if (indices.length > MAX_NEEDED) throw new ElfError(`the dynamic section names ${indices.length} needed libraries`);
  if (indices.length === 0) return [];
  const table = strings();
  return indices.map((index) => stringAt(source, table, index, 'name of a needed library (DT_NEEDED)'));
}

/** The string at an index of a string table. */
export function stringAt(source: ByteSource, table: Place, index: bigint, what: string): string {
  const size = table.end - table.offset;
  if (index >= size) throw new ElfError(`${what}: index ${hex(index)} is outside the string table of ${size} bytes`);
  return readString(source, table.offset + Number(index), table.end, what);
}

function stringTable(segments: Segment[], address: bigint | undefined, size: bigint | undefined): Place {
  if (address === undefined || size === undefined) {
    throw new ElfError('the dynamic section has names but no string table (DT_STRTAB and DT_STRSZ)');
  }
  const place = loadedPlace(segments, address, 'DT_STRTAB');
  if (size > place.end - place.offset) {
    throw new ElfError(`string table at offset ${hex(place.offset)}: its ${hex(size)} bytes leave their segment`);
  }
  return { offset: place.offset, end: place.offset + Number(size) };
}

/** From the bytes that are loaded at `address` to the end of their segment's part of the file. */
function loadedPlace(segments: Segment[], address: bigint, what: string): Place {
  const [offset, another] = fileOffsets(segments, address);
  if (offset === undefined) throw new ElfError(`${what}: no segment loads its address ${hex(address)} from the file`);
  if (another !== undefined) throw new ElfError(`${what}: more than one segment loads its address ${hex(address)}`);
  const holder = segments.find((segment) => fileOffsets([segment], address).length === 1);
  return { offset: Number(offset), end: Number(holder === undefined ? offset : holder.offset + holder.fileSize) };
}

function segmentPlace(source: ByteSource, segment: Segment, what: string): Place {
  const end = segment.offset + segment.fileSize;
  if (end > source.size) {
    throw new ElfError(`${what} at offset ${hex(segment.offset)} cannot be read: it ends at ${hex(end)}`);
  }
  return { offset: Number(segment.offset), end: Number(end) };
}
