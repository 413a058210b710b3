// SPDX-License-Identifier: Apache-2.0

/**
 * The version needs of a binary (DT_VERNEED, `.gnu.version_r`): which named versions it wants of which library. The
 * loader follows the chains by their links and not by their counts, so that is what is done here, and counts that do
 * not fit are an error. Source: Linux Standard Base, "Symbol Versioning".
 */
import { stringAt, type VersionTable } from './dynamic.ts';
import { VERNAUX, VERNEED } from './format.ts';
import type { Place } from './headers.ts';
import { type ByteSource, damaged, hex } from './source.ts';

export interface VersionNeed {
  /** The library that has to have the version: `libc.so.6`. */
  library: string;
  /** The version's name: `GLIBC_2.34`. */
  name: string;
}

/** A version's number has 15 bits, so no sound file needs more of them. */
const MAX_NEEDS = 0x8000;

/** @throws ElfError on the first thing that is wrong with the table */
export function readVersionNeeds(source: ByteSource, { place, count, strings }: VersionTable): VersionNeed[] {
  const text = (index: number, what: string) => stringAt(source, strings, BigInt(index), what);
  const needs: { library: string; nameIndex: number }[] = [];
  let libraries = 0;
  for (const { at, record } of chain(source, place, place.offset, 'library version need')) {
    libraries += 1;
    const version = record.readUInt16LE(VERNEED.version);
    if (version !== 1) throw damaged(`library version need at offset ${hex(at)}: vn_version is ${version}`);
    const library = text(record.readUInt32LE(VERNEED.file), 'library of a version need');
    const [before, start] = [needs.length, at + record.readUInt32LE(VERNEED.aux)];
    for (const link of chain(source, place, start, 'version need')) {
      if (needs.length >= MAX_NEEDS) throw damaged(`version needs go on after ${MAX_NEEDS} at offset ${hex(link.at)}`);
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
  return needs.map(({ library, nameIndex }) => ({ library, name: text(nameIndex, 'name of a version need') }));
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
