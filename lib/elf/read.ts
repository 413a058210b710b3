// SPDX-License-Identifier: Apache-2.0

/**
 * One 64-bit little-endian ELF file, read and found complete. No other program is needed, so the checks over it are the
 * same on macOS.
 */

import { type ByteSource, damaged, hex, withFileSource } from './byte-source.ts';
import { type Dynamic, readDynamic } from './dynamic.ts';
import { type Headers, PT, readHeaders, type Section, type Segment, SHT } from './headers.ts';

export interface ElfFile extends Headers {
  /** In bytes. */
  size: number;
  /** The path in PT_INTERP. */
  interpreter: string | undefined;
  /** What PT_DYNAMIC says, where there is one. */
  dynamic: Dynamic | undefined;
}

/** Linux gives up on longer names of an interpreter (PATH_MAX). */
const MAX_INTERPRETER_BYTES = 4096;

/**
 * Reads an ELF file from its bytes.
 * @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or for the first thing that is
 *   missing, unreadable or contradictory: nothing can be concluded from what a damaged file does not have
 */
export function parseElf(source: ByteSource): ElfFile {
  const headers = readHeaders(source);
  const { segments, sections } = headers;
  const interp = onlyOf(segments, PT.interp, 'PT_INTERP segments');
  const place = onlyOf(segments, PT.dynamic, 'PT_DYNAMIC segments');
  const dynamic = place && readDynamic(source, place, segments);
  checkAgreement(dynamic, onlyOf(sections, SHT.dynamic, 'SHT_DYNAMIC sections'), sections.length > 0);
  return { size: source.size, ...headers, interpreter: interp && readInterpreter(source, interp), dynamic };
}

/**
 * Reads an ELF file by its path.
 * @throws ElfError as `parseElf`, and when the file is not a regular one or cannot be read. The message does not name
 *   the path: the caller puts it in front.
 */
export function readElf(path: string): ElfFile {
  return withFileSource(path, parseElf);
}

function onlyOf<Entry extends Segment | Section>(entries: Entry[], type: number, name: string): Entry | undefined {
  const found = entries.filter((entry) => entry.type === type);
  if (found.length > 1) throw damaged(`there are ${found.length} ${name}, only one is allowed`);
  return found[0];
}

/**
 * The kernel and the loader use the program headers, most tools show the section headers: a file in which they differ is
 * damaged, or was built to look like something that it is not. One that was stripped of them has nothing to compare.
 */
function checkAgreement(dynamic: Dynamic | undefined, section: Section | undefined, hasSections: boolean): void {
  const [loaded, shown] = [dynamic?.offset, section && Number(section.offset)];
  if (!hasSections || loaded === shown) return;
  const place = (offset: number | undefined) => (offset === undefined ? 'nowhere' : `at offset ${hex(offset)}`);
  const found = `PT_DYNAMIC is ${place(loaded)} but the dynamic section is ${place(shown)}`;
  throw damaged(`${found}: the file is malformed or was tampered with`);
}

/** The interpreter's path. @throws ElfError when it is empty, too long, or not terminated inside its segment */
function readInterpreter(source: ByteSource, { offset, fileSize }: Segment): string {
  const bytes = source.read(Number(offset), Math.min(Number(fileSize), MAX_INTERPRETER_BYTES));
  const end = bytes.indexOf(0);
  if (end > 0) return bytes.toString('utf8', 0, end);
  const found = end === 0 ? 'is empty' : 'is not terminated in its segment';
  throw damaged(`interpreter (PT_INTERP) at offset ${hex(offset)} ${found}`);
}
