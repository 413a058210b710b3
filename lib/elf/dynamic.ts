// SPDX-License-Identifier: Apache-2.0

/**
 * What the loader is told in the dynamic section: the needed libraries, DF_1_PIE, and the version needs (DT_VERNEED),
 * which are named versions of libraries. The first thing that is wrong is an error. Source of the version needs: Linux
 * Standard Base, "Symbol Versioning".
 */

import { type ByteSource, damaged, hex } from './byte-source.ts';
import { PT, type Segment } from './headers.ts';

export interface Dynamic {
  /** Where it is in the file. */
  offset: number;
  /** Names of the libraries (DT_NEEDED), in their order. */
  needed: string[];
  /** DF_1_PIE is set: a position-independent executable and not a shared library. */
  isPie: boolean;
  /** It has packed relative relocations (DT_RELR), which glibc before 2.36 does not apply. */
  hasRelr: boolean;
  /** Every version that is wanted of every library. */
  versionNeeds: VersionNeed[];
}

export interface VersionNeed {
  /** The library that has to have the version: `libc.so.6`. */
  library: string;
  /** The version's name: `GLIBC_2.34`. */
  name: string;
}

/** A range of the file; `end` is the offset after its last byte. */
interface Place {
  offset: number;
  end: number;
}

const DT = {
  ...{ DT_NULL: 0n, DT_NEEDED: 1n, DT_STRTAB: 5n, DT_STRSZ: 10n, DT_RELR: 36n },
  ...{ DT_FLAGS_1: 0x6ffffffbn, DT_VERNEED: 0x6ffffffen },
} as const;
/** The bit of DT_FLAGS_1 that marks a position-independent executable; a shared library does not have it. */
const DF_1_PIE = 0x08000000n;
/** A tag and a value (Elf64_Dyn). */
const ENTRY_BYTES = 16;
/** A library's version needs (Elf64_Verneed), and one of them (Elf64_Vernaux), which has its size and its `next`. */
const VERNEED = { bytes: 16, file: 4, aux: 8, auxName: 8, next: 12 } as const;

/** Library and version names are far shorter. */
const MAX_STRING_BYTES = 4096;
/** A dynamic section has some 30 entries. */
const MAX_ENTRIES = 0x10000;
/** A version's number has 15 bits, so no sound file has more of them. */
const MAX_VERSIONS = 0x8000;

/**
 * @param segment the PT_DYNAMIC segment
 * @param segments all of them, for turning addresses into offsets
 */
export function readDynamic(source: ByteSource, { address, fileSize }: Segment, segments: Segment[]): Dynamic {
  // The loader takes it from memory.
  const { offset, end } = placeOf(segments, address, 'PT_DYNAMIC');
  const entries = readEntries(source, { offset, end: Math.min(end, offset + Number(fileSize)) });
  const needed = entries.filter(({ tag }) => tag === DT.DT_NEEDED);
  const versions = onlyValue(entries, 'DT_VERNEED');
  const hasNames = needed.length > 0 || versions !== undefined;
  const strings = hasNames ? stringTable(entries, segments) : { offset: 0, end: 0 };
  const text = (index: bigint, what: string) => stringAt(source, strings, index, what);
  return {
    offset,
    needed: needed.map(({ value }) => text(value, 'name of a needed library (DT_NEEDED)')),
    isPie: ((onlyValue(entries, 'DT_FLAGS_1') ?? 0n) & DF_1_PIE) !== 0n,
    hasRelr: onlyValue(entries, 'DT_RELR') !== undefined,
    versionNeeds:
      versions === undefined ? [] : readVersionNeeds(source, placeOf(segments, versions, 'DT_VERNEED'), text),
  };
}

interface Entry {
  tag: bigint;
  value: bigint;
}

/** The entries before DT_NULL, which has to come: the loader reads on until it meets one. */
function readEntries(source: ByteSource, { offset, end }: Place): Entry[] {
  const count = Math.min(Math.floor((end - offset) / ENTRY_BYTES), MAX_ENTRIES);
  const bytes = source.read(offset, count * ENTRY_BYTES);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    const tag = bytes.readBigUInt64LE(at);
    if (tag === DT.DT_NULL) return entries;
    entries.push({ tag, value: bytes.readBigUInt64LE(at + 8) });
  }
  throw damaged(`dynamic section at offset ${hex(offset)} has no DT_NULL in its ${count} entries`);
}

function onlyValue(entries: Entry[], name: keyof typeof DT): bigint | undefined {
  const [first, second] = entries.filter(({ tag }) => tag === DT[name]);
  if (second !== undefined) throw damaged(`the dynamic section has ${name} more than once`);
  return first?.value;
}

function stringTable(entries: Entry[], segments: Segment[]): Place {
  const [address, size] = [onlyValue(entries, 'DT_STRTAB'), onlyValue(entries, 'DT_STRSZ')];
  if (address === undefined || size === undefined) {
    throw damaged('the dynamic section has names but no string table (DT_STRTAB and DT_STRSZ)');
  }
  const { offset, end } = placeOf(segments, address, 'DT_STRTAB');
  if (size <= end - offset) return { offset, end: offset + Number(size) };
  throw damaged(`string table at offset ${hex(offset)}: its ${hex(size)} bytes leave their segment`);
}

/** From the byte that is loaded at an address to the end of its segment's bytes: one place in a sound file. */
function placeOf(segments: Segment[], address: bigint, what: string): Place {
  const [segment, another] = segments.filter(
    (one) => one.type === PT.load && address >= one.address && address < one.address + one.fileSize,
  );
  if (segment === undefined) throw damaged(`${what}: no segment loads its address ${hex(address)} from the file`);
  if (another !== undefined) throw damaged(`${what}: more than one segment loads its address ${hex(address)}`);
  const { offset, address: start, fileSize } = segment;
  return { offset: Number(offset + (address - start)), end: Number(offset + fileSize) };
}

/** The string at an index of a string table; `what` names it in an error. What is not UTF-8 is replaced. */
function stringAt(source: ByteSource, { offset, end }: Place, index: bigint, what: string): string {
  const size = end - offset;
  if (index >= size) throw damaged(`${what}: index ${hex(index)} is outside the string table of ${size} bytes`);
  const start = offset + Number(index);
  const bytes = source.read(start, Math.min(end - start, MAX_STRING_BYTES));
  const terminator = bytes.indexOf(0);
  if (terminator < 0) throw damaged(`${what}: the string at offset ${hex(start)} is not terminated`);
  return bytes.toString('utf8', 0, terminator);
}

/** The loader follows the chains by their links and not by their counts, and so does this. */
function readVersionNeeds(
  source: ByteSource,
  place: Place,
  text: (index: bigint, what: string) => string,
): VersionNeed[] {
  const needs: { library: string; name: number }[] = [];
  for (const { at, record } of chain(source, place, place.offset, 'library version need')) {
    const library = text(BigInt(record.readUInt32LE(VERNEED.file)), 'library of a version need');
    for (const link of chain(source, place, at + record.readUInt32LE(VERNEED.aux), 'version need')) {
      if (needs.length >= MAX_VERSIONS) throw damaged(`version needs go on after ${MAX_VERSIONS}`);
      needs.push({ library, name: link.record.readUInt32LE(VERNEED.auxName) });
    }
  }
  return needs.map(({ library, name }) => ({ library, name: text(BigInt(name), 'name of a version need') }));
}

/** The records of a chain from `start`, each of which has to be inside `place`. */
function* chain(source: ByteSource, place: Place, start: number, what: string) {
  let at = start;
  for (let step = -1; step !== 0; at += step) {
    if (at + VERNEED.bytes > place.end) {
      throw damaged(`${what} at offset ${hex(at)} leaves its segment, which ends at ${hex(place.end)}`);
    }
    const record = source.read(at, VERNEED.bytes);
    yield { at, record };
    step = record.readUInt32LE(VERNEED.next);
    // A link into its own record would make the chain read the same bytes again and again.
    if (step !== 0 && step < VERNEED.bytes) {
      throw damaged(`${what} at offset ${hex(at)}: the next one would begin ${step} bytes on, inside it`);
    }
  }
}
