// SPDX-License-Identifier: Apache-2.0

/**
 * Which glibc a binary wants, by the version names in its version needs. Only names that are understood are ever
 * compared with a limit; any other name of glibc's is told apart as one that fits no limit.
 */
import { shown, usageError } from '../errors.ts';
import type { ElfFile } from './read.ts';

export interface GlibcVersion {
  major: number;
  minor: number;
}

export interface GlibcNeed {
  /** As the binary has it: `GLIBC_2.2.5`, `GLIBC_ABI_DT_RELR`. */
  name: string;
  /** The library that it is wanted of: `libc.so.6`. */
  library: string;
  /** The glibc release that has it, third component dropped; absent when no release can be said to. */
  version?: GlibcVersion;
}

/** `GLIBC_ABI_DT_RELR` came with glibc 2.36, together with support for DT_RELR (source: glibc's NEWS for 2.36). */
const DT_RELR: GlibcVersion = { major: 2, minor: 36 };

/**
 * @param text `2.28`: two whole numbers
 * @throws TaskError (exit 2) when it is anything else
 */
export function parseGlibcLimit(text: string): GlibcVersion {
  const version = /^\d+\.\d+$/.test(text) ? parseNumbers(text) : undefined;
  if (version === undefined) {
    throw usageError(
      `${shown(text)} is not a GLIBC version; give the highest one allowed as MAJOR.MINOR, such as 2.28`,
    );
  }
  return version;
}

/** `GLIBC_2.28`. */
export function glibcName(version: GlibcVersion): string {
  return `GLIBC_${version.major}.${version.minor}`;
}

/** Less than 0 when `left` is older, 0 when they are the same, more than 0 when it is newer. */
export function compareGlibc(left: GlibcVersion, right: GlibcVersion): number {
  return left.major - right.major || left.minor - right.minor;
}

/**
 * The distinct glibc versions that a file wants, oldest first, those of no release last; empty for a static one.
 * DT_RELR counts although no version is named for it: some linkers leave the name out.
 */
export function glibcNeeds(file: ElfFile): GlibcNeed[] {
  const needs = new Map<string, GlibcNeed>();
  for (const { name, library } of file.versionNeeds) {
    if (!name.startsWith('GLIBC_') || needs.has(name)) continue;
    const version = releaseOf(name);
    needs.set(name, { name, library, ...(version === undefined ? {} : { version }) });
  }
  if (file.dynamic?.hasRelr && needs.size > 0 && !needs.has('GLIBC_ABI_DT_RELR')) {
    needs.set('DT_RELR', { name: 'DT_RELR', library: 'ld.so', version: DT_RELR });
  }
  return [...needs.values()].sort(byRelease);
}

/** The newest release that is wanted, if any is. */
export function highestGlibc(needs: readonly GlibcNeed[]): GlibcVersion | undefined {
  return needs.findLast((need) => need.version !== undefined)?.version;
}

function releaseOf(name: string): GlibcVersion | undefined {
  if (name === 'GLIBC_ABI_DT_RELR') return DT_RELR;
  const numbers = /^GLIBC_(\d+\.\d+)(?:\.\d+)?$/.exec(name)?.[1];
  return numbers === undefined ? undefined : parseNumbers(numbers);
}

/** Numbers that are too large to be told apart are no version. */
function parseNumbers(text: string): GlibcVersion | undefined {
  const [major = Number.NaN, minor = Number.NaN] = text.split('.').map(Number);
  return Number.isSafeInteger(major) && Number.isSafeInteger(minor) ? { major, minor } : undefined;
}

function byRelease(left: GlibcNeed, right: GlibcNeed): number {
  if (left.version === undefined || right.version === undefined) {
    return Number(left.version === undefined) - Number(right.version === undefined);
  }
  return compareGlibc(left.version, right.version) || left.name.localeCompare(right.name, 'en', { numeric: true });
}
