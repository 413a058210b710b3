// SPDX-License-Identifier: Apache-2.0

import { type ByteSource, damaged, hex } from './byte-source.ts';
/**
 * What the loader is told: the interpreter (PT_INTERP), and from the dynamic section (PT_DYNAMIC) the needed libraries,
 * DF_1_PIE, and the version needs (DT_VERNEED, `.gnu.version_r`): which named versions of which library. Each function
 * throws on the first thing that is wrong. Source of the version needs: Linux Standard Base, "Symbol Versioning".
 */
import { DF_1_PIE, DT, DYN, VERNAUX, VERNEED } from './format.ts';
import { type LoadedPlace, loadedPlaces, type Segment } from './headers.ts';

export interface Dynamic {
  /** Names of the libraries (DT_NEEDED), in their order. */
  needed: string[];
  /** DF_1_PIE is set: a position-independent executable and not a shared library. */
  isPie: boolean;
  /** It has packed relative relocations (DT_RELR), which glibc before 2.36 does not apply. */
  hasRelr: boolean;
  /** Where the table of version needs is in the file. */
  versionOffset: number | undefined;
  versionNeeds: VersionNeed[];
}

export interface VersionNeed {
  /** The library that has to have the version: `libc.so.6`. */
  library: string;
  /** The version's name: `GLIBC_2.34`. */
  name: string;
}

/** Linux gives up on longer interpreter names (PATH_MAX); library and version names are far shorter. */
const MAX_STRING_BYTES = 4096;
/** A dynamic section has some 30 entries. */
const MAX_DYNAMIC_ENTRIES = 0x10000;
const MAX_NEEDED = 1024;
/** A version's number has 15 bits, so no sound file has more of them. */
const MAX_VERSIONS = 0x8000;

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
  const strings = hasNames ? stringTable(entries, segments) : { offset: 0, end: 0 };
  const text = (index: bigint, what: string) => stringAt(source, strings, index, what);
  const versions = address === undefined ? undefined : loadedPlace(segments, address, 'DT_VERNEED');
  return {
    needed: needed.map(({ value }) => text(value, 'name of a needed library (DT_NEEDED)')),
    isPie: ((onlyValue(entries, 'DT_FLAGS_1') ?? 0n) & DF_1_PIE) !== 0n,
    hasRelr: onlyValue(entries, 'DT_RELR') !== undefined,
    versionOffset: versions?.offset,
    versionNeeds: versions === undefined ? [] : readVersionNeeds(source, versions, count, text),
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

function stringTable(entries: Entry[], segments: Segment[]): LoadedPlace {
  const [address, size] = [onlyValue(entries, 'DT_STRTAB'), onlyValue(entries, 'DT_STRSZ')];
  if (address === undefined || size === undefined) {
    throw damaged('the dynamic section has names but no string table (DT_STRTAB and DT_STRSZ)');
  }
  const { offset, end } = loadedPlace(segments, address, 'DT_STRTAB');
  if (size <= end - offset) return { offset, end: offset + Number(size) };
  throw damaged(`string table at offset ${hex(offset)}: its ${hex(size)} bytes leave their segment`);
}

function loadedPlace(segments: Segment[], address: bigint, what: string): LoadedPlace {
  const [place, another] = loadedPlaces(segments, address);
  if (place === undefined) throw damaged(`${what}: no segment loads its address ${hex(address)} from the file`);
  if (another !== undefined) throw damaged(`${what}: more than one segment loads its address ${hex(address)}`);
  return place;
}

/** The string at an index of a string table; `what` names it in an error. What is not UTF-8 is replaced. */
function stringAt(source: ByteSource, { offset, end }: LoadedPlace, index: bigint, what: string): string {
  const size = end - offset;
  if (index >= size) throw damaged(`${what}: index ${hex(index)} is outside the string table of ${size} bytes`);
  const start = offset + Number(index);
  const bytes = source.read(start, Math.min(end - start, MAX_STRING_BYTES));
  const terminator = bytes.indexOf(0);
  if (terminator < 0) throw damaged(`${what}: the string at offset ${hex(start)} is not terminated`);
  return bytes.toString('utf8', 0, terminator);
}

/**
 * The loader follows the chains of version needs by their links and not by their counts, so that is what is done here,
 * and counts that do not fit are an error.
 * @param count how many libraries the table claims to name
 */
function readVersionNeeds(
  source: ByteSource,
  place: LoadedPlace,
  count: bigint | undefined,
  text: (index: bigint, what: string) => string,
): VersionNeed[] {
  const needs: { library: string; nameIndex: number }[] = [];
  let libraries = 0;
  for (const { at, record } of chain(source, place, place.offset, 'library version need')) {
    libraries += 1;
    const version = record.readUInt16LE(VERNEED.version);
    if (version !== 1) throw damaged(`library version need at offset ${hex(at)}: vn_version is ${version}`);
    const library = text(BigInt(record.readUInt32LE(VERNEED.file)), 'library of a version need');
    const [before, start] = [needs.length, at + record.readUInt32LE(VERNEED.aux)];
    for (const link of chain(source, place, start, 'version need')) {
      if (needs.length >= MAX_VERSIONS)
        throw damaged(`version needs go on after ${MAX_VERSIONS} at offset ${hex(link.at)}`);
      needs.push({ library, nameIndex: link.record.readUInt32LE(VERNAUX.name) });
    }
    const [found, claimed] = [needs.length - before, record.readUInt16LE(VERNEED.count)];
    if (found !== claimed) {
      throw damaged(`version needs at offset ${hex(start)}: the chain has ${found} but its head says ${claimed}`);
    }
  }
  if (BigInt(libraries) !== count) {
    throw damaged(`version needs name ${libraries} libraries but DT_VERNEEDNUM says ${count}`);
  }
  return needs.map(({ library, nameIndex }) => ({ library, name: text(BigInt(nameIndex), 'name of a version need') }));
}

/** The records of a chain from `start`, each of which has to be inside `place`. */
function* chain(source: ByteSource, place: LoadedPlace, start: number, what: string) {
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
