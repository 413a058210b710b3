// SPDX-License-Identifier: Apache-2.0

/**
 * Which glibc a binary needs, by the version names in its version needs. Only names that are understood are compared
 * with a limit; any other name of glibc's fits no limit.
 */
import { shown, usageError } from '../errors.ts';
import type { ElfFile } from './read.ts';

export interface GlibcVersion {
  major: number;
  minor: number;
}

interface GlibcNeed {
  /** As the binary has it: `GLIBC_2.2.5`, `GLIBC_ABI_DT_RELR`. */
  name: string;
  /** The library that it is wanted of: `libc.so.6`. */
  library: string;
  /** The glibc release that has it, third component dropped; `UNKNOWN` when no release can be said to. */
  version: GlibcVersion;
}

/** Newer than any limit, so what has it is refused. */
const UNKNOWN: GlibcVersion = { major: Number.POSITIVE_INFINITY, minor: 0 };
/** `GLIBC_ABI_DT_RELR` came with glibc 2.36, together with support for DT_RELR (source: glibc's NEWS for 2.36). */
const DT_RELR: GlibcVersion = { major: 2, minor: 36 };

/**
 * @param text `2.28`: two whole numbers
 * @throws TaskError (exit 2) when it is anything else
 */
export function parseGlibcLimit(text: string): GlibcVersion {
  const version = /^\d+\.\d+$/.test(text) ? parseNumbers(text) : UNKNOWN;
  if (version !== UNKNOWN) return version;
  throw usageError(`${shown(text)} is not a GLIBC version; give the highest one allowed as MAJOR.MINOR, such as 2.28`);
}

/**
 * The distinct glibc versions that a file needs, oldest first, those of an unknown release last; empty for a static
 * one. DT_RELR counts although no version is named for it: some linkers leave the name out.
 */
function glibcNeeds(file: ElfFile): GlibcNeed[] {
  const needs = new Map<string, GlibcNeed>();
  for (const { name, library } of file.versionNeeds) {
    if (name.startsWith('GLIBC_') && !needs.has(name)) needs.set(name, { name, library, version: releaseOf(name) });
  }
  if (file.dynamic?.hasRelr && needs.size > 0 && !needs.has('GLIBC_ABI_DT_RELR')) {
    needs.set('DT_RELR', { name: 'DT_RELR', library: 'ld.so', version: DT_RELR });
  }
  return [...needs.values()].sort((left, right) => compareGlibc(left.version, right.version));
}

/** The newest release that a file needs, as `GLIBC_2.34`; `none` when it needs none. */
export function highestGlibc(file: ElfFile): string {
  const version = glibcNeeds(file).findLast((need) => need.version !== UNKNOWN)?.version;
  return version === undefined ? 'none' : glibcName(version);
}

/** Against a file that needs versions that are over the limit, or that no limit allows. */
export function glibcReasons(file: ElfFile, max: GlibcVersion): string[] {
  return glibcNeeds(file)
    .filter(({ version }) => compareGlibc(version, max) > 0)
    .map((need) => glibcReason(need, max));
}

function glibcReason({ name, library, version }: GlibcNeed, max: GlibcVersion): string {
  const found = `needs ${shown(name).slice(1, -1)} of ${shown(library)}`;
  const limit = `allowed is up to ${glibcName(max)}`;
  if (name === 'GLIBC_PRIVATE') {
    return `${found}, which only the glibc it was linked with has for sure, ${limit}; do not use glibc's internals`;
  }
  if (version === UNKNOWN) {
    return `${found}, a version that is not known here, ${limit}; find out which release of glibc has it`;
  }
  const release = name === glibcName(version) ? '' : ` (glibc ${version.major}.${version.minor})`;
  const remedy = name.endsWith('DT_RELR')
    ? "link it without '-z pack-relative-relocs'"
    : `build it against an older glibc, with cargo-zigbuild for a target that ends in .${max.major}.${max.minor}`;
  return `${found}${release}, ${limit}; ${remedy}`;
}

function glibcName({ major, minor }: GlibcVersion): string {
  return `GLIBC_${major}.${minor}`;
}

/** Less than 0 when `left` is older, 0 when they are the same, more than 0 when it is newer. */
function compareGlibc(left: GlibcVersion, right: GlibcVersion): number {
  return left.major - right.major || left.minor - right.minor;
}

function releaseOf(name: string): GlibcVersion {
  if (name === 'GLIBC_ABI_DT_RELR') return DT_RELR;
  const numbers = /^GLIBC_(\d+\.\d+)(?:\.\d+)?$/.exec(name)?.[1];
  return numbers === undefined ? UNKNOWN : parseNumbers(numbers);
}

/** The version of `2.28`; numbers that are too large to be exact are not one. */
function parseNumbers(text: string): GlibcVersion {
  const [major = Number.NaN, minor = Number.NaN] = text.split('.').map(Number);
  return Number.isSafeInteger(major) && Number.isSafeInteger(minor) ? { major, minor } : UNKNOWN;
}
