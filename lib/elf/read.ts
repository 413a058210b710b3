// SPDX-License-Identifier: Apache-2.0

/**
 * One ELF file, 32-bit or 64-bit, of either byte order, read as far as it can be, together with everything that is
 * wrong with it. No other program is needed, so the checks over it are the same on macOS.
 */
import { checkAgreement, checkExtents } from './completeness.ts';
import { type Dynamic, readDynamic, readInterpreter } from './dynamic.ts';
import { type Encoding, machineName, PT, SHT, typeName } from './format.ts';
import { type Report, readHeader, readTables, type Section, type Segment, type Tables } from './headers.ts';
import { type ByteSource, ElfError, hex, withFileSource } from './source.ts';
import { readVersionNeeds, type VersionNeed } from './versions.ts';

export interface ElfFile extends Encoding {
  /** In bytes. */
  size: number;
  /** `EXEC`, `DYN`, `REL`, `CORE`, `NONE`, or the number of another type (`0xfe00`). */
  type: string;
  /** e_machine, and its common name (`x86-64`, `aarch64`; `machine 1234` when it has none here). */
  machine: number;
  machineName: string;
  entry: bigint;
  segments: Segment[];
  /** Empty in a file that was stripped of its section headers. */
  sections: Section[];
  /** The path in PT_INTERP. */
  interpreter?: string;
  /** Absent when there is no PT_DYNAMIC, or it cannot be read, which then is among the defects. */
  dynamic?: Dynamic;
  /** Every version that the file wants of every library; empty in a static one. */
  versionNeeds: VersionNeed[];
  /** What is missing, unreadable or contradictory, each with its offset. A file with any of it is not to be trusted. */
  defects: string[];
}

/** Defects that are listed; of the rest only the number is told. */
const MAX_DEFECTS = 16;

/**
 * Reads an ELF file from its bytes. Damage is in `defects`; absence of something means little while there are any.
 * @throws ElfError when it is no ELF file, or its header cannot be read
 */
export function parseElf(source: ByteSource): ElfFile {
  const found: string[] = [];
  const report: Report = (defect) => {
    found.push(defect);
  };
  const header = readHeader(source, report);
  const tables = readTables(source, header, report);
  checkExtents(tables, source.size, report);
  checkAgreement(tables, report);
  const loading = readLoading(source, header, tables, report);
  return {
    size: source.size,
    class: header.class,
    endian: header.endian,
    type: typeName(header.type),
    machine: header.machine,
    machineName: machineName(header.machine, header),
    entry: header.entry,
    segments: tables.segments,
    sections: tables.sections,
    ...loading,
    defects: shortened(found),
  };
}

/**
 * Reads an ELF file by its path.
 * @throws ElfError when it is not a regular file, cannot be read, changed meanwhile, or is no ELF file. The message
 *   does not name the path: the caller puts it in front.
 */
export function readElf(path: string): ElfFile {
  return withFileSource(path, parseElf);
}

type Loading = Pick<ElfFile, 'interpreter' | 'dynamic' | 'versionNeeds'>;

function readLoading(source: ByteSource, encoding: Encoding, tables: Tables, report: Report): Loading {
  const { segments } = tables;
  const interp = segments.find((segment) => segment.type === PT.interp);
  const interpreter = interp && orReport(report, () => readInterpreter(source, interp));
  const place = segments.find((segment) => segment.type === PT.dynamic);
  const dynamic = place && orReport(report, () => readDynamic(source, encoding, place, segments));
  const table = dynamic?.versionTable;
  const versionNeeds = table && orReport(report, () => readVersionNeeds(source, encoding, table));
  if (tables.complete && (place === undefined || dynamic !== undefined)) {
    checkVersionSection(tables, table?.place.offset, report);
  }
  return {
    ...(interpreter === undefined ? {} : { interpreter }),
    ...(dynamic === undefined ? {} : { dynamic }),
    versionNeeds: versionNeeds ?? [],
  };
}

/** The table that tools show (SHT_GNU_verneed) has to be the one that the loader uses (DT_VERNEED). */
function checkVersionSection(tables: Tables, offset: number | undefined, report: Report): void {
  for (const section of tables.sections.filter(({ type }) => type === SHT.gnuVerneed)) {
    if (offset !== undefined && section.offset === BigInt(offset)) continue;
    const found = offset === undefined ? 'has no DT_VERNEED' : `has DT_VERNEED at offset ${hex(offset)}`;
    report(`section header ${section.index} puts version needs at offset ${hex(section.offset)} but the file ${found}`);
  }
}

/** What `read` gives, or nothing with its `ElfError` reported. Any other error is a bug, and goes on. */
function orReport<Result>(report: Report, read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    report(error.message);
    return undefined;
  }
}

function shortened(found: string[]): string[] {
  const defects = [...new Set(found)];
  const rest = defects.length - MAX_DEFECTS;
  return rest > 0 ? [...defects.slice(0, MAX_DEFECTS), `and ${rest} more of such defects`] : defects;
}
