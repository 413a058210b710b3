// SPDX-License-Identifier: Apache-2.0

/**
 * The version needs of a binary (DT_VERNEED, `.gnu.version_r`): which named versions it wants of which library.
 * The loader follows the chains by their links and not by their counts, so that is what is done here, and counts
 * that do not fit are an error. Source: Linux Standard Base, "Symbol Versioning"; records are the same in both classes.
 */
import { type Dynamic, type Place, stringAt } from './dynamic.ts';
import { type Encoding, Fields } from './format.ts';
import { type ByteSource, ElfError, hex } from './source.ts';

export interface VersionNeed {
  /** The library that has to have the version: `libc.so.6`. */
  library: string;
  /** The version's name: `GLIBC_2.34`. */
  name: string;
}

/** Verneed and Vernaux records both have this many bytes. */
const RECORD_BYTES = 16;
/** A version's number has 15 bits, so no sound file needs more of them. */
const MAX_NEEDS = 0x8000;

/** @throws ElfError on the first thing that is wrong with the table */
export function readVersionNeeds(
  source: ByteSource,
  encoding: Encoding,
  table: NonNullable<Dynamic['versionTable']>,
): VersionNeed[] {
  const record = (offset: number, what: string) => readRecord(source, encoding, table.place, offset, what);
  const text = (index: number, what: string) => stringAt(source, table.strings, BigInt(index), what);
  const needs: VersionNeed[] = [];
  let [libraries, at] = [0, table.place.offset];
  for (let step = -1; step !== 0; at += step) {
    const need = record(at, 'library version need');
    if (need.u16(0) !== 1)
      throw new ElfError(`library version need at offset ${hex(at)}: vn_version is ${need.u16(0)}`);
    const library = text(need.u32(4), 'library of a version need');
    const names = chain(at + need.u32(8), need.u16(2), record, MAX_NEEDS - needs.length);
    needs.push(...names.map((index) => ({ library, name: text(index, 'name of a version need') })));
    libraries += 1;
    step = nextStep(need.u32(12), at, 'library version need');
  }
  if (BigInt(libraries) !== table.count) {
    throw new ElfError(`version needs name ${libraries} libraries but DT_VERNEEDNUM says ${table.count}`);
  }
  return needs;
}

/** The string indices of the versions in one library's chain, from `start`; `count` is what its head claims. */
function chain(
  start: number,
  count: number,
  record: (offset: number, what: string) => Fields,
  atMost: number,
): number[] {
  const indices: number[] = [];
  let at = start;
  for (let step = -1; step !== 0; at += step) {
    if (indices.length >= atMost) throw new ElfError(`version needs go on after ${MAX_NEEDS} at offset ${hex(at)}`);
    const version = record(at, 'version need');
    indices.push(version.u32(8));
    step = nextStep(version.u32(12), at, 'version need');
  }
  if (indices.length !== count) {
    throw new ElfError(
      `version needs at offset ${hex(start)}: the chain has ${indices.length} but its head says ${count}`,
    );
  }
  return indices;
}

/** A link is a distance forward; one into its own record would make the chain read the same bytes again and again. */
function nextStep(distance: number, at: number, what: string): number {
  if (distance !== 0 && distance < RECORD_BYTES) {
    throw new ElfError(`${what} at offset ${hex(at)}: the next one would begin ${distance} bytes on, inside it`);
  }
  return distance;
}

function readRecord(source: ByteSource, encoding: Encoding, place: Place, offset: number, what: string): Fields {
  if (offset + RECORD_BYTES > place.end) {
    throw new ElfError(`${what} at offset ${hex(offset)} leaves its segment, which ends at ${hex(place.end)}`);
  }
  return new Fields(source.read(offset, RECORD_BYTES), encoding);
}
