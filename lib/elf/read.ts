// SPDX-License-Identifier: Apache-2.0

import { type ByteSource, withFileSource } from './byte-source.ts';
/**
 * One 64-bit little-endian ELF file, read and found complete. No other program is needed, so the checks over it are the
 * same on macOS.
 */
import { checkAgreement, checkExtents, checkVersionSection } from './completeness.ts';
import { type Dynamic, readDynamic, readInterpreter, type VersionNeed } from './dynamic.ts';
import { PT } from './format.ts';
import { type Headers, readHeaders } from './headers.ts';

export interface ElfFile extends Headers {
  /** In bytes. */
  size: number;
  /** The path in PT_INTERP. */
  interpreter: string | undefined;
  /** What PT_DYNAMIC says, where there is one. */
  dynamic: Dynamic | undefined;
  /** Every version that the file wants of every library; empty in a static one. */
  versionNeeds: VersionNeed[];
}

/**
 * Reads an ELF file from its bytes.
 * @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or for the first thing that is
 *   missing, unreadable or contradictory: nothing can be concluded from what a damaged file does not have
 */
export function parseElf(source: ByteSource): ElfFile {
  const headers = readHeaders(source);
  checkExtents(headers, source.size);
  checkAgreement(headers);
  const { segments } = headers;
  const interp = segments.find(({ type }) => type === PT.interp);
  const place = segments.find(({ type }) => type === PT.dynamic);
  const dynamic = place && readDynamic(source, place, segments);
  checkVersionSection(headers, dynamic);
  return {
    size: source.size,
    ...headers,
    interpreter: interp && readInterpreter(source, interp),
    dynamic,
    versionNeeds: dynamic?.versionNeeds ?? [],
  };
}

/**
 * Reads an ELF file by its path.
 * @throws ElfError as `parseElf`, and when the file is not a regular one, cannot be read, or changed while it was read.
 *   The message does not name the path: the caller puts it in front.
 */
export function readElf(path: string): ElfFile {
  return withFileSource(path, parseElf);
}
