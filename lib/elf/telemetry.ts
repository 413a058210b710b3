// SPDX-License-Identifier: Apache-2.0

/** Is the code that sends telemetry in a program, of Linux or macOS? Its constants are searched for in all bytes. */

import type { VerdictOf } from '../cli/problems.ts';
import { oneLine } from '../errors.ts';
import { ARCHES } from '../host.ts';
import { TELEMETRY } from '../product.ts';
import { machODefect } from '../vm/mach-o.ts';
import { type ByteSource, ElfError, withFileSource } from './byte-source.ts';
import { parseElf } from './read.ts';
import { programReasons } from './verify.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;
/** The first bytes, in hex, of programs for macOS: for one machine, or for several. */
const MACH_O = ['cffaedfe', 'cafebabe'];

const REMEDIES = {
  present: `wanted it; build with the feature telemetry, or correct lib/product.ts by ${TELEMETRY.source}`,
  absent: 'wanted none; build with --no-default-features',
} as const;

/** Are all markers there, or none? What a file that is not a complete program does not have proves nothing: it fails. */
export function inspectTelemetry(path: string, wanted: keyof typeof REMEDIES): VerdictOf<string> {
  const textOf = ([marker, count]: readonly [string, number]) => `the telemetry marker '${marker}' ${count} times`;
  try {
    const counts = withFileSource(path, countMarkers);
    const wrong = counts.filter(([, count]) => count > 0 !== (wanted === 'present'));
    if (wrong.length === 0) return { ok: true, facts: counts.map(textOf).join(', ') };
    return { ok: false, reasons: wrong.map((one) => `${oneLine(path)}: has ${textOf(one)}, ${REMEDIES[wanted]}`) };
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ok: false, reasons: [`${oneLine(path)}: ${error.message}`] };
  }
}

function countMarkers(source: ByteSource) {
  const isMachO = source.size >= 4 && MACH_O.includes(source.read(0, 4).toString('hex'));
  const [reason] = isMachO ? machOReasons(source.read(0, source.size)) : programReasons(parseElf(source), undefined);
  if (reason !== undefined) throw new ElfError(reason);
  return TELEMETRY.markers.map((marker) => [marker, occurrences(source, marker)] as const);
}

function machOReasons(content: Buffer): string[] {
  const defects = ARCHES.map((arch) => machODefect(content, arch, false));
  return defects.includes(undefined) ? [] : [`is not a whole program for macOS (${defects.join(', ')})`];
}

function occurrences(source: ByteSource, marker: string): number {
  let count = 0;
  for (let start = 0; start < source.size; start += CHUNK_BYTES) {
    // One that begins in this chunk may end in the next.
    const bytes = source.read(start, Math.min(CHUNK_BYTES + marker.length - 1, source.size - start));
    for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) count++;
  }
  return count;
}
