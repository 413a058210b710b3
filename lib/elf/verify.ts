// SPDX-License-Identifier: Apache-2.0

/**
 * Can a binary be shipped? None of the checks throws: a file that cannot be read is refused, and so is a damaged one,
 * because what is missing from it would read as "no interpreter, no needed libraries".
 */

import type { VerdictOf } from '../cli/problems.ts';
import { oneLine, shown, usageError } from '../errors.ts';
import { ARCHES, type Arch } from '../host.ts';
import { TELEMETRY } from '../product.ts';
import { machODefect } from '../vm/mach-o.ts';
import { type ByteSource, ElfError, ET, hex, MACHINE_NAMES, memorySource, PT, withFileSource } from './headers.ts';
import { type ElfFile, parseElf, type VersionNeed } from './read.ts';

/** What is inspected: the path of a file, or content in memory with the name that reasons give it. */
export type Inspected = string | { readonly name: string; readonly content: Uint8Array };

/** The machine that it has to be for; without one, any. */
type Machine = { readonly machine?: Arch | undefined };

export interface BinaryFacts {
  /** In bytes. */
  readonly size: number;
  /** Common name: `x86-64`, `aarch64`. */
  readonly machine: string;
  readonly kind: ReturnType<typeof kindOf>;
  /** The newest glibc release that it needs, as `GLIBC_2.34`; `none` when it needs none. */
  readonly glibc: string;
}

/** Each reason says what was found, what is wanted, and what to do. A refusal has facts too, if the file is complete. */
export type Verdict = VerdictOf<BinaryFacts> & { readonly facts?: BinaryFacts };

/** Is it a complete, fully static executable, classic or static-PIE? */
export function inspectStatic(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => reasonsAgainst(file, machine, 'static'));
}

/** Does it run with the glibc release `max`? A static binary always does. It may be a shared library, too. */
export function inspectGlibc(binary: Inspected, { machine, max }: Machine & { readonly max: GlibcVersion }): Verdict {
  return inspect(binary, (file) => [...reasonsAgainst(file, machine), ...glibcReasons(file, max)]);
}

/** Is it a complete executable, static or dynamic? */
export function inspectExecutable(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => reasonsAgainst(file, machine, 'executable'));
}

/** Is it a complete shared library? */
export function inspectLibrary(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => reasonsAgainst(file, machine, 'library'));
}

function inspect(binary: Inspected, reasonsAgainst: (file: ElfFile) => string[]): Verdict {
  const look = (source: ByteSource): Verdict => {
    const file = parseElf(source);
    const facts = { size: source.size, machine: file.machine, kind: kindOf(file), glibc: highestGlibc(file) };
    const reasons = reasonsAgainst(file).map((reason) => `${name}: ${reason}`);
    return reasons.length === 0 ? { ok: true, facts } : { ok: false, reasons, facts };
  };
  const name = oneLine(typeof binary === 'string' ? binary : binary.name);
  return refusing(name, () => {
    return typeof binary === 'string' ? withFileSource(binary, look) : look(memorySource(binary.content));
  });
}

/** What `look` gives; a refusal where it throws an ElfError. */
function refusing<T>(name: string, look: () => T): T | { ok: false; reasons: string[] } {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ok: false, reasons: [`${name}: ${error.message}`] };
  }
}

/** What a file is to a user who runs it; `other` is an object file, a core dump, or of an unknown type. */
export function kindOf(file: ElfFile): 'static' | 'static-pie' | 'dynamic' | 'shared-library' | 'other' {
  if (file.type !== ET.exec && file.type !== ET.dyn) return 'other';
  if (file.interpreter !== undefined) return 'dynamic';
  if (file.type === ET.dyn && !file.dynamic?.isPie) return 'shared-library';
  if (file.dynamic !== undefined && file.dynamic.needed.length > 0) return 'dynamic';
  return file.type === ET.dyn ? 'static-pie' : 'static';
}

/**
 * The reasons against a file as what is wanted; any machine where none is, and any program or library. libc.so.6 is an
 * executable: it has an interpreter.
 */
export function reasonsAgainst(file: ElfFile, machine?: Arch, wanted?: 'executable' | 'static' | 'library'): string[] {
  const [kind, needed] = [kindOf(file), file.dynamic?.needed ?? []];
  const isProgram = kind !== 'other' && kind !== 'shared-library';
  const isLoaded = file.segments.some(({ type }) => type === PT.load);
  const buildStatic = "build it for a *-linux-musl target, or with '-C target-feature=+crt-static'";
  const reasons = [
    kind === 'other' && `is of the ELF type ${hex(file.type)}, wanted an executable; link it, or name the program`,
    kind !== 'other' && !isLoaded && 'has no PT_LOAD segment, so none of it is loaded; build or copy it again',
    machine !== undefined &&
      file.machine !== MACHINE_NAMES[machine] &&
      `is for ${file.machine}, wanted ${machine} (${MACHINE_NAMES[machine]}); build it for ${machine}`,
    wanted === 'library' && isProgram && `is a program (${kind}), wanted a shared library; name the library`,
    (wanted === 'executable' || wanted === 'static') &&
      kind === 'shared-library' &&
      'is a shared library (ET_DYN without DF_1_PIE), wanted an executable; name the program, not its library',
    wanted === 'static' &&
      file.interpreter !== undefined &&
      `is dynamically linked, with the interpreter (PT_INTERP) ${shown(file.interpreter)}; ${buildStatic}`,
    wanted === 'static' &&
      needed.length > 0 &&
      `depends on shared libraries (DT_NEEDED) ${needed.map(shown).join(', ')}, wanted none; ${buildStatic}`,
  ];
  return reasons.filter((reason) => reason !== false);
}

export interface GlibcVersion {
  readonly major: number;
  readonly minor: number;
}

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
function glibcNeeds({ dynamic }: ElfFile) {
  const needs = new Map<string, VersionNeed & { readonly version: GlibcVersion }>();
  for (const { name, library } of dynamic?.versionNeeds ?? []) {
    const known = name === 'GLIBC_ABI_DT_RELR' ? DT_RELR : matchVersion(/^GLIBC_(\d+)\.(\d+)(?:\.\d+)?$/, name);
    if (name.startsWith('GLIBC_') && !needs.has(name)) needs.set(name, { name, library, version: known });
  }
  const hasUnnamed = dynamic?.hasRelr && needs.size > 0 && !needs.has('GLIBC_ABI_DT_RELR');
  if (hasUnnamed) needs.set('DT_RELR', { name: 'DT_RELR', library: 'ld.so', version: DT_RELR });
  return [...needs.values()].sort((left, right) => compareGlibc(left.version, right.version));
}

/** The newest release that a file needs, as `GLIBC_2.34`; `none` where it needs no glibc. */
export function highestGlibc(file: ElfFile): string {
  const newest = glibcNeeds(file).findLast(({ version }) => version !== UNKNOWN);
  return newest === undefined ? 'none' : glibcName(newest.version);
}

/** The reasons against a file that needs versions over the limit. */
export function glibcReasons(file: ElfFile, max: GlibcVersion): string[] {
  const remedy = `build it with cargo-zigbuild for a target that ends in .${max.major}.${max.minor}`;
  return glibcNeeds(file).flatMap(({ name, library, version }) => {
    if (compareGlibc(version, max) <= 0) return [];
    const found = `${shown(name).slice(1, -1)} of ${shown(library)}${version === UNKNOWN ? ', which is not known here' : ''}`;
    return [`needs ${found}, allowed is up to ${glibcName(max)}; ${remedy}`];
  });
}

function glibcName({ major, minor }: GlibcVersion): string {
  return `GLIBC_${major}.${minor}`;
}

/** Negative when `left` is older, positive when it is newer. */
function compareGlibc(left: GlibcVersion, right: GlibcVersion): number {
  return left.major - right.major || left.minor - right.minor;
}

/** The two numbers that a pattern finds; `UNKNOWN` for another text, and for numbers that are too large to be exact. */
function matchVersion(pattern: RegExp, text: string): GlibcVersion {
  const [, major = Number.NaN, minor = Number.NaN] = pattern.exec(text)?.map(Number) ?? [];
  return Number.isSafeInteger(major) && Number.isSafeInteger(minor) ? { major, minor } : UNKNOWN;
}

/** The first bytes, in hex, of programs for macOS: for one machine, or for several. */
const MACH_O = ['cffaedfe', 'cafebabe'];
const TELEMETRY_REMEDIES = {
  present: `wanted it; build with the feature telemetry, or correct lib/product.ts by ${TELEMETRY.source}`,
  absent: 'wanted none; build with --no-default-features',
} as const;

/**
 * Are all the constants of the code that sends telemetry in a program, of Linux or macOS, or none? What a file that is
 * not a complete program does not have proves nothing: it fails.
 */
export function inspectTelemetry(path: string, wanted: keyof typeof TELEMETRY_REMEDIES): VerdictOf<string> {
  const name = oneLine(path);
  return refusing(name, () => {
    const content = withFileSource(path, readProgram);
    const reasons = TELEMETRY.markers.flatMap((marker) => {
      if (content.includes(marker) === (wanted === 'present')) return [];
      const found = wanted === 'present' ? 'has no' : 'has the';
      return [`${name}: ${found} telemetry marker '${marker}', ${TELEMETRY_REMEDIES[wanted]}`];
    });
    return reasons.length > 0 ? { ok: false, reasons } : { ok: true, facts: TELEMETRY.markers.join(', ') };
  });
}

/** The content of a complete program. */
function readProgram(source: ByteSource): Buffer {
  const content = source.read(0, source.size);
  const isMachO = MACH_O.includes(content.toString('hex', 0, 4));
  if (!isMachO) {
    const [reason] = reasonsAgainst(parseElf(source));
    if (reason !== undefined) throw new ElfError(reason);
  } else if (ARCHES.every((arch) => machODefect(content, arch, false) !== undefined)) {
    throw new ElfError('is not a whole program for macOS; build or copy it again');
  }
  return content;
}
