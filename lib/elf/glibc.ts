// SPDX-License-Identifier: Apache-2.0

/**
 * Which glibc a binary needs, by the names in its version needs. Only names that are understood are compared with a
 * limit; any other name of glibc's is over every limit.
 */
import { shown, usageError } from '../errors.ts';
import type { VersionNeed } from './dynamic.ts';
import type { ElfFile } from './read.ts';

export interface GlibcVersion {
  major: number;
  minor: number;
}

interface GlibcNeed extends VersionNeed {
  /** The glibc release that has it, without a third component; `UNKNOWN` for any other name. */
  version: GlibcVersion;
}

/** Newer than any limit, so what has it is refused. */
const UNKNOWN: GlibcVersion = { major: Number.POSITIVE_INFINITY, minor: 0 };
/** `GLIBC_ABI_DT_RELR` came with glibc 2.36, together with support for DT_RELR (source: glibc's NEWS for 2.36). */
const DT_RELR: GlibcVersion = { major: 2, minor: 36 };

/** The limit of a text such as `2.28`. @throws usageError for anything but two whole numbers */
export function parseGlibcLimit(text: string): GlibcVersion {
  const version = matchVersion(/^(\d+)\.(\d+)$/, text);
  if (version !== UNKNOWN) return version;
  throw usageError(`${shown(text)} is not a GLIBC version; give the highest one allowed as MAJOR.MINOR, such as 2.28`);
}

/** The distinct glibc versions that a file needs, oldest first. Some linkers name no version for DT_RELR. */
function glibcNeeds(file: ElfFile): GlibcNeed[] {
  const needs = new Map<string, GlibcNeed>();
  for (const { name, library } of file.dynamic?.versionNeeds ?? []) {
    if (name.startsWith('GLIBC_') && !needs.has(name)) needs.set(name, { name, library, version: releaseOf(name) });
  }
  if (file.dynamic?.hasRelr && needs.size > 0 && !needs.has('GLIBC_ABI_DT_RELR')) {
    needs.set('DT_RELR', { name: 'DT_RELR', library: 'ld.so', version: DT_RELR });
  }
  return [...needs.values()].sort((left, right) => compareGlibc(left.version, right.version));
}

/** The newest release that a file needs, as `GLIBC_2.34`; `none` where it needs no glibc. */
export function highestGlibc(file: ElfFile): string {
  const newest = glibcNeeds(file).findLast(({ version }) => version !== UNKNOWN);
  return newest === undefined ? 'none' : glibcName(newest.version);
}

/** The reasons against a file that needs versions over the limit. */
export function glibcReasons(file: ElfFile, max: GlibcVersion): string[] {
  return glibcNeeds(file)
    .filter(({ version }) => compareGlibc(version, max) > 0)
    .map((need) => glibcReason(need, max));
}

function glibcReason({ name, library, version }: GlibcNeed, max: GlibcVersion): string {
  const found = `needs ${shown(name).slice(1, -1)} of ${shown(library)}`;
  const limit = `allowed is up to ${glibcName(max)}`;
  if (version === UNKNOWN) {
    const remedy = name === 'GLIBC_PRIVATE' ? "do not use glibc's internals" : 'find out which release of glibc has it';
    return `${found}, a version that is not known here, ${limit}; ${remedy}`;
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

/** Negative when `left` is older, positive when it is newer. */
function compareGlibc(left: GlibcVersion, right: GlibcVersion): number {
  return left.major - right.major || left.minor - right.minor;
}

function releaseOf(name: string): GlibcVersion {
  return name === 'GLIBC_ABI_DT_RELR' ? DT_RELR : matchVersion(/^GLIBC_(\d+)\.(\d+)(?:\.\d+)?$/, name);
}

/** The two numbers that a pattern finds; `UNKNOWN` for another text, and for numbers that are too large to be exact. */
function matchVersion(pattern: RegExp, text: string): GlibcVersion {
  const [, major = Number.NaN, minor = Number.NaN] = pattern.exec(text)?.map(Number) ?? [];
  return Number.isSafeInteger(major) && Number.isSafeInteger(minor) ? { major, minor } : UNKNOWN;
}
