// SPDX-License-Identifier: Apache-2.0

import { damaged, hex } from './byte-source.ts';
/**
 * Is the file complete, and do its two tables agree? Pure checks over the headers. The kernel and the loader use the
 * program headers, most tools show the section headers: a file in which they differ is damaged, or was built to look
 * like something that it is not. Each check throws an `ElfError` for the first thing that is wrong.
 */
import type { Dynamic } from './dynamic.ts';
import { PT, SHT } from './format.ts';
import { type Headers, loadedPlaces, type Section, type Segment } from './headers.ts';

/** Every segment and section has to be wholly in a file of `size` bytes. */
export function checkExtents({ segments, sections }: Headers, size: number): void {
  for (const { label, type, offset, fileSize, memorySize } of segments) {
    // PT_NULL is an unused entry, and an empty segment (PT_GNU_STACK) has no place in the file.
    const isInFile = type === PT.load || (type !== PT.null && fileSize > 0n);
    if (isInFile) checkEnd(`${label}: segment`, offset + fileSize, size);
    if (type === PT.load && fileSize > memorySize) {
      throw damaged(`${label}: segment has ${hex(fileSize)} bytes in the file but only ${hex(memorySize)} in memory`);
    }
  }
  for (const { label, type, offset, size: bytes, link } of sections) {
    const isInFile = type !== SHT.null && type !== SHT.nobits && bytes > 0n;
    if (isInFile) checkEnd(`${label}: section`, offset + bytes, size);
    // A link (to the strings of a symbol table, say) is the index of another section.
    if (link >= sections.length) {
      throw damaged(`${label}: it is linked to section ${link} but there are ${sections.length} section headers`);
    }
  }
}

function checkEnd(what: string, end: bigint, size: number): void {
  if (end > size) throw damaged(`${what} ends at ${hex(end)} but the file has ${size} bytes`);
}

/**
 * The dynamic section has to be the dynamic segment, and what may occur only once must not occur twice. A file without
 * any section header (stripped of them) has nothing to compare, and is as good as its segments.
 */
export function checkAgreement({ segments, sections }: Headers): void {
  onlyOf(segments, PT.interp, 'PT_INTERP segments');
  const segment = onlyOf(segments, PT.dynamic, 'PT_DYNAMIC segments');
  const section = onlyOf(sections, SHT.dynamic, 'SHT_DYNAMIC sections');
  if (segment !== undefined) checkLoaded(segment, segments);
  if (sections.length === 0 || segment?.offset === section?.offset) return;
  const place = (entry: Segment | Section | undefined) => (entry ? `at offset ${hex(entry.offset)}` : 'nowhere');
  throw tampered(`PT_DYNAMIC is ${place(segment)} but the dynamic section is ${place(section)}`);
}

function onlyOf<Entry extends Segment | Section>(entries: Entry[], type: number, name: string): Entry | undefined {
  const found = entries.filter((entry) => entry.type === type);
  if (found.length > 1) throw damaged(`there are ${found.length} ${name}, only one is allowed`);
  return found[0];
}

/** The loader takes the dynamic section from memory, so its address must be that of the bytes at its offset. */
function checkLoaded({ offset, address }: Segment, segments: Segment[]): void {
  const offsets = loadedPlaces(segments, address).map((place) => place.offset);
  if (offsets.length === 1 && offsets[0] === Number(offset)) return;
  const found =
    offsets.length === 0 ? 'is not loaded from the file' : `is loaded from offset ${offsets.map(hex).join(' and ')}`;
  throw tampered(`PT_DYNAMIC is at offset ${hex(offset)} but its address ${hex(address)} ${found}`);
}

/** Version needs that tools show (SHT_GNU_verneed) have to be those that the loader uses (DT_VERNEED). */
export function checkVersionSection({ sections }: Headers, dynamic: Dynamic | undefined): void {
  const offset = dynamic?.versionOffset;
  const wrong = sections.find((section) => section.type === SHT.gnuVerneed && section.offset !== BigInt(offset ?? -1));
  if (wrong === undefined) return;
  const found = offset === undefined ? 'has no DT_VERNEED' : `has DT_VERNEED at offset ${hex(offset)}`;
  throw tampered(`${wrong.label}: version needs are at offset ${hex(wrong.offset)} but the file ${found}`);
}

function tampered(defect: string) {
  return damaged(`${defect}: the file is malformed or was tampered with`);
}
