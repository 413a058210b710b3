// SPDX-License-Identifier: Apache-2.0

/**
 * Can a binary be shipped? Three checks: a static executable (the supervisor, which runs inside arbitrary images), no
 * newer glibc than a limit (gateway and drivers), and any complete executable for a machine (a dynamic bundle or
 * gateway). None of them throws: a file that cannot be read is refused, and so is a damaged one, because what is missing
 * from it would read as "no interpreter, no needed libraries".
 */
import { oneLine } from '../errors.ts';
import type { Arch } from '../host.ts';
import { type GlibcVersion, glibcReasons, highestGlibc } from './glibc.ts';
import { type ElfFile, parseElf, readElf } from './read.ts';
import { type BinaryKind, executableReasons, kindOf, programReasons, staticReasons } from './rules.ts';
import { ElfError, memorySource } from './source.ts';

/** What is inspected: the path of a file, or content in memory with the name that reasons give it. */
export type Binary = string | { name: string; content: Uint8Array };

/** The machine that it has to be for; without one, any. */
type Machine = { machine?: Arch | undefined };

export interface BinaryFacts {
  /** In bytes. */
  size: number;
  /** Common name: `x86-64`, `aarch64`. */
  machine: string;
  kind: BinaryKind;
  /** The newest glibc release that it needs, as `GLIBC_2.34`; `none` when it needs none. */
  glibc: string;
}

/**
 * What was found. Each reason is one whole line that begins with the path and says what was found, what is wanted, and
 * what to do. A refusal has facts too, if the file is complete.
 */
export type Verdict = { ok: true; facts: BinaryFacts } | { ok: false; reasons: string[]; facts?: BinaryFacts };

/** Is it a complete, fully static executable, classic or static-PIE? */
export function inspectStatic(binary: Binary, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => staticReasons(file, machine));
}

/** Does it run with the glibc release `max`? A static binary always does. It may be a shared library, too. */
export function inspectGlibc(binary: Binary, { machine, max }: Machine & { max: GlibcVersion }): Verdict {
  return inspect(binary, (file) => [...programReasons(file, machine), ...glibcReasons(file, max)]);
}

/** Is it a complete executable, static or dynamic? */
export function inspectExecutable(binary: Binary, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => executableReasons(file, machine));
}

function inspect(binary: Binary, reasonsAgainst: (file: ElfFile) => string[]): Verdict {
  const name = oneLine(typeof binary === 'string' ? binary : binary.name);
  try {
    const file = typeof binary === 'string' ? readElf(binary) : parseElf(memorySource(binary.content));
    const facts = { size: file.size, machine: file.machine, kind: kindOf(file), glibc: highestGlibc(file) };
    const reasons = reasonsAgainst(file).map((reason) => `${name}: ${reason}`);
    return reasons.length === 0 ? { ok: true, facts } : { ok: false, reasons, facts };
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ok: false, reasons: [`${name}: ${error.message}`] };
  }
}
