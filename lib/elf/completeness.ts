// SPDX-License-Identifier: Apache-2.0

/**
 * Is all of the file there, and do its two tables tell the same story? Pure checks over the headers. The program
 * headers are what the kernel and the loader go by, the section headers are what most tools show: a file in which
 * they differ is damaged, or was made to look like something it is not.
 */
import { PT, SHT } from './format.ts';
import { fileOffsets, type Report, type Section, type Segment, type Tables } from './headers.ts';
import { hex } from './source.ts';

/** Reports every segment and section that is not wholly in a file of `size` bytes. */
export function checkExtents(tables: Tables, size: number, report: Report): void {
  for (const segment of tables.segments) checkSegment(segment, size, report);
  for (const section of tables.sections) checkSection(section, size, report);
  if (tables.complete) checkLinks(tables.sections, report);
}

function checkSegment(segment: Segment, size: number, report: Report): void {
  const where = `program header ${segment.index} at offset ${hex(segment.headerOffset)}`;
  const end = segment.offset + segment.fileSize;
  // PT_NULL is an unused entry, and an empty segment (PT_GNU_STACK) has no place in the file.
  const isInFile = segment.type === PT.load || (segment.type !== 0 && segment.fileSize > 0n);
  if (isInFile && end > size) report(`${where}: segment ends at ${hex(end)} but the file has ${size} bytes`);
  if (segment.type === PT.load && segment.fileSize > segment.memorySize) {
    report(
      `${where}: segment has ${hex(segment.fileSize)} bytes in the file but only ${hex(segment.memorySize)} in memory`,
    );
  }
}

function checkSection(section: Section, size: number, report: Report): void {
  const end = section.offset + section.size;
  const isInFile = section.type !== SHT.null && section.type !== SHT.nobits && section.size > 0n;
  if (!isInFile || end <= size) return;
  const where = `section header ${section.index} at offset ${hex(section.headerOffset)}`;
  report(`${where}: section ends at ${hex(end)} but the file has ${size} bytes`);
}

/** A link (to the strings of a symbol table, say) is the index of another section. */
function checkLinks(sections: Section[], report: Report): void {
  for (const { index, headerOffset, link } of sections) {
    if (link < sections.length) continue;
    const where = `section header ${index} at offset ${hex(headerOffset)}`;
    report(`${where}: it is linked to section ${link} but there are ${sections.length} section headers`);
  }
}

/**
 * Reports a dynamic section that is not the dynamic segment, and segments that may occur only once.
 * A file without any section header (stripped of them) has nothing to compare, and is as good as its segments.
 */
export function checkAgreement(tables: Tables, report: Report): void {
  if (!tables.complete) return;
  const segments = tables.segments.filter((segment) => segment.type === PT.dynamic);
  const sections = tables.sections.filter((section) => section.type === SHT.dynamic);
  const interpreters = tables.segments.filter((segment) => segment.type === PT.interp);
  if (interpreters.length > 1) report(`there are ${interpreters.length} PT_INTERP segments, only one is allowed`);
  if (segments.length > 1) report(`there are ${segments.length} PT_DYNAMIC segments, only one is allowed`);
  if (sections.length > 1) report(`there are ${sections.length} SHT_DYNAMIC sections, only one is allowed`);
  if (segments[0] !== undefined) checkLoaded(segments[0], tables.segments, report);
  if (tables.sections.length === 0) return;
  const [segment, section] = [segments[0]?.offset, sections[0]?.offset];
  if (segment === section) return;
  const place = (offset: bigint | undefined) => (offset === undefined ? 'nowhere' : `at offset ${hex(offset)}`);
  report(
    `PT_DYNAMIC is ${place(segment)} but the dynamic section is ${place(section)}: the file is malformed or was tampered with`,
  );
}

/** The loader takes the dynamic section from memory, so its address must be that of the bytes at its offset. */
function checkLoaded(dynamic: Segment, segments: Segment[], report: Report): void {
  const offsets = fileOffsets(segments, dynamic.address);
  if (offsets.length === 1 && offsets[0] === dynamic.offset) return;
  const found = offsets.length === 0 ? 'is not loaded from the file' : `is loaded from offset ${offsets.map(hex)}`;
  report(
    `PT_DYNAMIC is at offset ${hex(dynamic.offset)} but its address ${hex(dynamic.address)} ${found}: ` +
      'the file is malformed or was tampered with',
  );
}
