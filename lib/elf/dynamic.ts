// SPDX-License-Identifier: Apache-2.0

/**
 * What the loader is told: the interpreter (PT_INTERP), and from the dynamic section (PT_DYNAMIC) the needed libraries,
 * DF_1_PIE, and where the version needs are. Each function throws on the first thing that is wrong.
 */
import { DF_1_PIE, DT, DYN } from './format.ts';
import { loadedPlaces, type Place, type Segment } from './headers.ts';
import { type ByteSource, damaged, hex } from './source.ts';

export interface Dynamic {
  /** Names of the libraries (DT_NEEDED), in their order. */
  needed: string[];
  /** DF_1_PIE is set: a position-independent executable and not a shared library. */
  isPie: boolean;
  /** It has packed relative relocations (DT_RELR), which glibc before 2.36 does not apply. */
  hasRelr: boolean;
  versionTable: VersionTable | undefined;
}

/** The table of version needs (DT_VERNEED), how many libraries it claims to name, and its strings. */
export interface VersionTable {
  place: Place;
  count: bigint;
  strings: Place;
}

/** Linux gives up on longer interpreter names (PATH_MAX); library and version names are far shorter. */
const MAX_STRING_BYTES = 4096;
/** A dynamic section has some 30 entries. */
const MAX_DYNAMIC_ENTRIES = 0x10000;
const MAX_NEEDED = 1024;
const NO_STRINGS: Place = { offset: 0, end: 0 };

/** The interpreter's path. @throws ElfError when it is empty, too long, or not terminated inside its segment */
export function readInterpreter(source: ByteSource, { offset, fileSize }: Segment): string {
  const bytes = source.read(Number(offset), Math.min(Number(fileSize), MAX_STRING_BYTES));
  const end = bytes.indexOf(0);
  if (end > 0) return bytes.toString('utf8', 0, end);
  const found = end === 0 ? 'is empty' : 'is not terminated in its segment';
  throw damaged(`interpreter (PT_INTERP) at offset ${hex(offset)} ${found}`);
}

/**
 * @param segment the PT_DYNAMIC segment
 * @param segments all of them, for turning addresses into offsets
 */
export function readDynamic(source: ByteSource, segment: Segment, segments: Segment[]): Dynamic {
  const entries = readEntries(source, segment);
  const needed = entries.filter(({ tag }) => tag === DT.DT_NEEDED);
  if (needed.length > MAX_NEEDED) throw damaged(`the dynamic section names ${needed.length} needed libraries`);
  const [address, count] = [onlyValue(entries, 'DT_VERNEED'), onlyValue(entries, 'DT_VERNEEDNUM')];
  if ((address === undefined) !== (count === undefined)) {
    throw damaged('the dynamic section has only one of DT_VERNEED and DT_VERNEEDNUM');
  }
  const hasNames = needed.length > 0 || address !== undefined;
  const strings = hasNames ? stringTable(entries, segments) : NO_STRINGS;
  return {
    needed: needed.map(({ value }) => stringAt(source, strings, value, 'name of a needed library (DT_NEEDED)')),
    isPie: ((onlyValue(entries, 'DT_FLAGS_1') ?? 0n) & DF_1_PIE) !== 0n,
    hasRelr: onlyValue(entries, 'DT_RELR') !== undefined,
    versionTable:
      address === undefined || count === undefined
        ? undefined
        : { place: loadedPlace(segments, address, 'DT_VERNEED'), count, strings },
  };
}

interface Entry {
  tag: bigint;
  value: bigint;
}

/** The entries before DT_NULL, which has to come: the loader reads on until it meets one. */
function readEntries(source: ByteSource, { offset, fileSize }: Segment): Entry[] {
  const count = Math.min(Math.floor(Number(fileSize) / DYN.bytes), MAX_DYNAMIC_ENTRIES);
  const bytes = source.read(Number(offset), count * DYN.bytes);
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length; at += DYN.bytes) {
    const tag = bytes.readBigUInt64LE(at + DYN.tag);
    if (tag === DT.DT_NULL) return entries;
    entries.push({ tag, value: bytes.readBigUInt64LE(at + DYN.value) });
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
  const { offset, end } = loadedPlace(segments, address, 'DT_STRTAB');
  if (size <= end - offset) return { offset, end: offset + Number(size) };
  throw damaged(`string table at offset ${hex(offset)}: its ${hex(size)} bytes leave their segment`);
}

function loadedPlace(segments: Segment[], address: bigint, what: string): Place {
  const [place, another] = loadedPlaces(segments, address);
  if (place === undefined) throw damaged(`${what}: no segment loads its address ${hex(address)} from the file`);
  if (another !== undefined) throw damaged(`${what}: more than one segment loads its address ${hex(address)}`);
  return place;
}

/** The string at an index of a string table; `what` names it in an error. What is not UTF-8 is replaced. */
export function stringAt(source: ByteSource, { offset, end }: Place, index: bigint, what: string): string {
  const size = end - offset;
  if (index >= size) throw damaged(`${what}: index ${hex(index)} is outside the string table of ${size} bytes`);
  const start = offset + Number(index);
  const bytes = source.read(start, Math.min(end - start, MAX_STRING_BYTES));
  const terminator = bytes.indexOf(0);
  if (terminator < 0) throw damaged(`${what}: the string at offset ${hex(start)} is not terminated`);
  return bytes.toString('utf8', 0, terminator);
}
