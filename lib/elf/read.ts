// SPDX-License-Identifier: Apache-2.0

/**
 * One ELF file, read and found complete, with what the loader is told in the dynamic section. No other program is needed,
 * so the checks over it are the same on macOS. Source of the version needs: Linux Standard Base, "Symbol Versioning".
 */

import { type ByteSource, damaged, hex, PT, readHeaders, type Segment, SHT } from './headers.ts';

export type ElfFile = ReturnType<typeof parseElf>;

/** A version, such as `GLIBC_2.34`, that a library has to have. */
export interface VersionNeed {
  readonly library: string;
  readonly name: string;
}

/** A range of the file; `end` is the offset after its last byte. */
interface Place {
  readonly offset: number;
  readonly end: number;
}

type ReadText = (index: bigint, what: string) => string;

const DT = { null: 0n, needed: 1n, strtab: 5n, strsz: 10n, relr: 36n, flags1: 0x6ffffffbn, verneed: 0x6ffffffen };
/** The bit of DT_FLAGS_1 that a shared library does not have. */
const DF_1_PIE = 0x08000000n;
/** A tag and a value (Elf64_Dyn). */
const ENTRY_BYTES = 16;
/** A library's version needs (Elf64_Verneed), and one of them (Elf64_Vernaux), which has its size and its `next`. */
const VERNEED = { bytes: 16, file: 4, aux: 8, auxName: 8, next: 12 } as const;

/** Names are far shorter (PATH_MAX), and a dynamic section has some 30 entries. */
const STRING_BYTES_MAX = 4096;
const ENTRIES_BYTES_MAX = 0x100000;

/**
 * Reads an ELF file.
 * @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or for the first thing that is
 *   missing, unreadable or contradictory: nothing can be concluded from what a damaged file does not have
 */
export function parseElf(source: ByteSource) {
  const headers = readHeaders(source);
  const { segments, sections } = headers;
  const [interp, place] = [PT.interp, PT.dynamic].map((type) => segments.find((segment) => segment.type === type));
  const dynamic = place && readDynamic(source, place, segments);
  const section = sections.find(({ type }) => type === SHT.dynamic);
  // The loader uses the program headers, most tools show the section headers.
  if (sections.length > 0 && dynamic?.offset !== (section && Number(section.offset))) {
    throw damaged('PT_DYNAMIC is not where the dynamic section is: the file is malformed or was tampered with');
  }
  const range = interp && { offset: Number(interp.offset), end: Number(interp.offset + interp.fileSize) };
  return { ...headers, interpreter: range && stringAt(source, range, 0n, 'interpreter (PT_INTERP)'), dynamic };
}

/** The loader takes it from memory, so addresses are turned into offsets. */
function readDynamic(source: ByteSource, { address, fileSize }: Segment, segments: readonly Segment[]) {
  const { offset, end } = placeOf(segments, address, 'PT_DYNAMIC');
  const entries = readEntries(source, { offset, end: Math.min(end, offset + Number(fileSize)) });
  const valueAt = (wanted: bigint) => entries.findLast(({ tag }) => tag === wanted)?.value;
  const [table, versions] = [valueAt(DT.strtab), valueAt(DT.verneed)];
  const loaded = table === undefined ? { offset: 0, end: 0 } : placeOf(segments, table, 'DT_STRTAB');
  const strings = { ...loaded, end: Math.min(loaded.end, loaded.offset + Number(valueAt(DT.strsz) ?? 0n)) };
  const text: ReadText = (index, what) => stringAt(source, strings, index, what);
  const needed = entries.filter(({ tag }) => tag === DT.needed);
  return {
    offset,
    /** Names of the libraries, in their order. */
    needed: needed.map(({ value }) => text(value, 'name of a needed library (DT_NEEDED)')),
    /** A position-independent executable and not a shared library. */
    isPie: ((valueAt(DT.flags1) ?? 0n) & DF_1_PIE) !== 0n,
    /** It has packed relative relocations, which glibc before 2.36 does not apply. */
    hasRelr: valueAt(DT.relr) !== undefined,
    versionNeeds:
      versions === undefined ? [] : readVersionNeeds(source, placeOf(segments, versions, 'DT_VERNEED'), text),
  };
}

/** The entries before DT_NULL, which has to come: the loader reads on until it meets one. */
function readEntries(source: ByteSource, { offset, end }: Place) {
  const bytes = source.read(offset, Math.min(end - offset, ENTRIES_BYTES_MAX));
  const entries: { tag: bigint; value: bigint }[] = [];
  for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
    const tag = bytes.readBigUInt64LE(at);
    if (tag === DT.null) return entries;
    entries.push({ tag, value: bytes.readBigUInt64LE(at + 8) });
  }
  throw damaged(`dynamic section at offset ${hex(offset)} has no DT_NULL in its ${entries.length} entries`);
}

/** From the byte that is loaded at an address to the end of its segment's bytes. */
function placeOf(segments: readonly Segment[], address: bigint, what: string): Place {
  const segment = segments.find(
    (one) => one.type === PT.load && address >= one.address && address < one.address + one.fileSize,
  );
  if (segment === undefined) throw damaged(`${what}: no segment loads its address ${hex(address)} from the file`);
  const { offset, address: start, fileSize } = segment;
  return { offset: Number(offset + (address - start)), end: Number(offset + fileSize) };
}

/** The string at an index of a string table; `what` names it in an error. */
function stringAt(source: ByteSource, { offset, end }: Place, index: bigint, what: string): string {
  const size = end - offset;
  if (index >= size) throw damaged(`${what}: index ${hex(index)} is outside its table of ${size} bytes`);
  const start = offset + Number(index);
  const bytes = source.read(start, Math.min(end - start, STRING_BYTES_MAX));
  const terminator = bytes.indexOf(0);
  if (terminator < 0) throw damaged(`${what}: the string at offset ${hex(start)} is not terminated`);
  return bytes.toString('utf8', 0, terminator);
}

/** The loader follows the chains by their links and not by their counts, and so does this. */
function readVersionNeeds(source: ByteSource, place: Place, text: ReadText): VersionNeed[] {
  return chain(source, place, place.offset, 'library version need').flatMap(({ at, record }) => {
    const library = text(BigInt(record.readUInt32LE(VERNEED.file)), 'library of a version need');
    const needs = chain(source, place, at + record.readUInt32LE(VERNEED.aux), 'version need');
    return needs.map((need) => {
      return { library, name: text(BigInt(need.record.readUInt32LE(VERNEED.auxName)), 'name of a version need') };
    });
  });
}

/** The records of a chain from `start`, each of which has to be inside `place`. */
function chain(source: ByteSource, { end }: Place, start: number, what: string) {
  const records: { at: number; record: Buffer }[] = [];
  let at = start;
  for (let step = -1; step !== 0; at += step) {
    // A link into its own record would make the chain read the same bytes again and again.
    if (at + VERNEED.bytes > end || (step > 0 && step < VERNEED.bytes)) {
      throw damaged(`${what} at offset ${hex(at)} leaves its segment, or is inside the one before it`);
    }
    const record = source.read(at, VERNEED.bytes);
    records.push({ at, record });
    step = record.readUInt32LE(VERNEED.next);
  }
  return records;
}
