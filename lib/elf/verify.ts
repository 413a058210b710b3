// SPDX-License-Identifier: Apache-2.0

import { oneLine } from '../errors.ts';
/**
 * Is a binary what has to be shipped? Three questions: a static executable (the supervisor, which runs inside
 * arbitrary images), no newer glibc than a limit (gateway and drivers), and any complete executable for a machine (a
 * dynamic bundle or gateway). Each is asked in three ways:
 *
 * - `judge…` decides over a file that was read, without effects;
 * - `inspect…` reads the file of a path and gives the verdict, with every reason against it;
 * - `verify…` is the same, but a refusal is an error with all the reasons in its one line.
 *
 * A damaged file is always refused: what is missing from it would read as "no interpreter, no needed libraries".
 */
import { compareGlibc, type GlibcNeed, type GlibcVersion, glibcName, glibcNeeds, highestGlibc } from './glibc.ts';
import { type ElfFile, readElf } from './read.ts';
import {
  type BinaryKind,
  type BinaryMachine,
  executableReasons,
  glibcReason,
  kindOf,
  programReasons,
  staticReasons,
} from './rules.ts';
import { ElfError } from './source.ts';

export { type GlibcNeed, type GlibcVersion, parseGlibcLimit } from './glibc.ts';
export type { BinaryKind, BinaryMachine } from './rules.ts';
export { ElfError } from './source.ts';

export interface MachineOption {
  /** The machine that it has to be for; any machine is good when it is left out. */
  machine?: BinaryMachine | undefined;
}

export interface GlibcOptions extends MachineOption {
  /** The newest glibc release that it may need. */
  max: GlibcVersion;
}

export interface BinaryFacts {
  path: string;
  /** In bytes. */
  size: number;
  class: 32 | 64;
  endian: 'little' | 'big';
  /** Common name: `x86-64`, `aarch64`. */
  machine: string;
  /** `EXEC` or `DYN`; in a refusal it may be any other. */
  type: string;
  kind: BinaryKind;
  interpreter?: string;
  /** Names of the shared libraries it depends on. */
  needed: string[];
}

export interface GlibcFacts extends BinaryFacts {
  /** The newest release that is needed, as `GLIBC_2.34`; `none` when no release is. */
  highest: string;
  /** Every distinct version that is needed, oldest first. */
  needs: GlibcNeed[];
  /** Those that are over the limit, or that no limit allows. */
  refused: GlibcNeed[];
}

/**
 * What was found. Each reason is one whole line that begins with the path and says what was found, what is wanted,
 * and what to do. A refusal has facts too, if the file could be read and is complete.
 */
export type Verdict<Facts> = { ok: true; facts: Facts } | { ok: false; reasons: string[]; facts?: Facts };

/**
 * Is it a complete, fully static executable, classic or static-PIE?
 * @returns the verdict; a file that cannot be read is a refusal, and nothing is thrown
 */
export function inspectStatic(path: string, options: MachineOption = {}): Verdict<BinaryFacts> {
  return inspect(path, (file) => judgeStatic(file, path, options));
}

/** As `inspectStatic`. @throws ElfError (exit 1) with every reason */
export function verifyStatic(path: string, options: MachineOption = {}): BinaryFacts {
  return factsOf(path, inspectStatic(path, options));
}

/** The verdict of `inspectStatic` over a file that was read. */
export function judgeStatic(file: ElfFile, path: string, options: MachineOption = {}): Verdict<BinaryFacts> {
  const reasons = [...programReasons(file, options.machine), ...executableReasons(file), ...staticReasons(file)];
  return verdict(file, binaryFacts(file, path), reasons);
}

/**
 * Does it do with the glibc of `max`? A static binary always does. Shared libraries may be asked about, too.
 * @returns the verdict; a file that cannot be read is a refusal, and nothing is thrown
 */
export function inspectGlibc(path: string, options: GlibcOptions): Verdict<GlibcFacts> {
  return inspect(path, (file) => judgeGlibc(file, path, options));
}

/** As `inspectGlibc`. @throws ElfError (exit 1) with every reason */
export function verifyGlibc(path: string, options: GlibcOptions): GlibcFacts {
  return factsOf(path, inspectGlibc(path, options));
}

/** The verdict of `inspectGlibc` over a file that was read. */
export function judgeGlibc(file: ElfFile, path: string, { machine, max }: GlibcOptions): Verdict<GlibcFacts> {
  const needs = glibcNeeds(file);
  const newest = highestGlibc(needs);
  const refused = needs.filter(({ version }) => version === undefined || compareGlibc(version, max) > 0);
  const highest = newest === undefined ? 'none' : glibcName(newest);
  const reasons = [...programReasons(file, machine), ...refused.map((need) => glibcReason(need, max))];
  return verdict(file, { ...binaryFacts(file, path), highest, needs, refused }, reasons);
}

/**
 * Is it a complete executable, static or dynamic?
 * @returns the verdict; a file that cannot be read is a refusal, and nothing is thrown
 */
export function inspectExecutable(path: string, options: MachineOption = {}): Verdict<BinaryFacts> {
  return inspect(path, (file) => judgeExecutable(file, path, options));
}

/** As `inspectExecutable`. @throws ElfError (exit 1) with every reason */
export function verifyExecutable(path: string, options: MachineOption = {}): BinaryFacts {
  return factsOf(path, inspectExecutable(path, options));
}

/** The verdict of `inspectExecutable` over a file that was read. */
export function judgeExecutable(file: ElfFile, path: string, options: MachineOption = {}): Verdict<BinaryFacts> {
  const reasons = [...programReasons(file, options.machine), ...executableReasons(file)];
  return verdict(file, binaryFacts(file, path), reasons);
}

const KINDS: Record<BinaryKind, string> = {
  static: 'static executable',
  'static-pie': 'static-PIE executable',
  dynamic: 'dynamic executable',
  'shared-library': 'shared library',
  other: 'file that is no program',
};

/** The facts in one line, for users: `64-bit x86-64 static-PIE executable, 26214400 bytes`. */
export function describeBinary(facts: BinaryFacts): string {
  const order = facts.endian === 'big' ? ' big-endian' : '';
  return `${facts.class}-bit${order} ${facts.machine} ${KINDS[facts.kind]}, ${facts.size} bytes`;
}

function binaryFacts(file: ElfFile, path: string): BinaryFacts {
  const { size, endian, machineName: machine, type, interpreter } = file;
  const name = interpreter === undefined ? {} : { interpreter };
  const needed = file.dynamic?.needed ?? [];
  return { path, size, class: file.class, endian, machine, type, kind: kindOf(file), ...name, needed };
}

function verdict<Facts extends BinaryFacts>(file: ElfFile, facts: Facts, reasons: string[]): Verdict<Facts> {
  if (reasons.length === 0) return { ok: true, facts };
  const refusal = { ok: false as const, reasons: reasons.map((reason) => linePrefix(facts.path) + reason) };
  return file.defects.length > 0 ? refusal : { ...refusal, facts };
}

function linePrefix(path: string): string {
  return `${oneLine(path)}: `;
}

function inspect<Facts>(path: string, judge: (file: ElfFile) => Verdict<Facts>): Verdict<Facts> {
  try {
    return judge(readElf(path));
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ok: false, reasons: [linePrefix(path) + error.message] };
  }
}

function factsOf<Facts>(path: string, given: Verdict<Facts>): Facts {
  if (given.ok) return given.facts;
  const start = linePrefix(path);
  throw new ElfError(start + given.reasons.map((reason) => reason.slice(start.length)).join('; also: '));
}
