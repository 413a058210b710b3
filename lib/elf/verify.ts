// SPDX-License-Identifier: Apache-2.0

/**
 * Can a binary be shipped? Three checks: a static executable (the supervisor, which runs inside arbitrary images), no
 * newer glibc than a limit (gateway and drivers), and any complete executable for a machine (a dynamic bundle or
 * gateway). None of them throws: a file that cannot be read is refused, and so is a damaged one, because what is
 * missing from it would read as "no interpreter, no needed libraries".
 */

import { oneLine, shown } from '../errors.ts';
import type { Arch } from '../host.ts';
import { ElfError, hex, memorySource } from './byte-source.ts';
import { type GlibcVersion, glibcReasons, highestGlibc } from './glibc.ts';
import { ET, MACHINE_NAMES, PT } from './headers.ts';
import { type ElfFile, parseElf, readElf } from './read.ts';

/** What is inspected: the path of a file, or content in memory with the name that reasons give it. */
export type Inspected = string | { name: string; content: Uint8Array };

/** The machine that it has to be for; without one, any. */
type Machine = { machine?: Arch | undefined };

/** What a file is to a user who runs it. `other` is an object file, a core dump, or of an unknown type. */
export type BinaryKind = 'static' | 'static-pie' | 'dynamic' | 'shared-library' | 'other';

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

const TYPES: Readonly<Record<number, string>> = {
  [ET.none]: 'a file without a type (ET_NONE)',
  [ET.rel]: 'a relocatable object (ET_REL)',
  [ET.core]: 'a core dump (ET_CORE)',
};

const BUILD_IT_STATIC = "build it for a *-linux-musl target, or with '-C target-feature=+crt-static'";

/** Is it a complete, fully static executable, classic or static-PIE? */
export function inspectStatic(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => staticReasons(file, machine));
}

/** Does it run with the glibc release `max`? A static binary always does. It may be a shared library, too. */
export function inspectGlibc(binary: Inspected, { machine, max }: Machine & { max: GlibcVersion }): Verdict {
  return inspect(binary, (file) => [...programReasons(file, machine), ...glibcReasons(file, max)]);
}

/** Is it a complete executable, static or dynamic? */
export function inspectExecutable(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => executableReasons(file, machine));
}

/** Is it a complete shared library? */
export function inspectLibrary(binary: Inspected, { machine }: Machine = {}): Verdict {
  return inspect(binary, (file) => {
    const [reasons, kind] = [programReasons(file, machine), kindOf(file)];
    if (reasons.length > 0 || kind === 'shared-library') return reasons;
    return [`is a program (${kind}), wanted a shared library (ET_DYN); name the library`];
  });
}

function inspect(binary: Inspected, reasonsAgainst: (file: ElfFile) => string[]): Verdict {
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

/** How it is linked, and whether it is a program at all. */
export function kindOf(file: ElfFile): BinaryKind {
  if (file.type !== ET.exec && file.type !== ET.dyn) return 'other';
  if (file.interpreter !== undefined) return 'dynamic';
  if (file.type === ET.dyn && !file.dynamic?.isPie) return 'shared-library';
  if (file.dynamic !== undefined && file.dynamic.needed.length > 0) return 'dynamic';
  return file.type === ET.dyn ? 'static-pie' : 'static';
}

/** The reasons against an executable or shared library for the machine; `undefined` allows any machine. */
export function programReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons: string[] = [];
  if (kindOf(file) === 'other') {
    const found = TYPES[file.type] ?? `of the ELF type ${hex(file.type)}`;
    reasons.push(`is ${found}, wanted an executable; link it, or name the program`);
  } else if (!file.segments.some(({ type }) => type === PT.load)) {
    reasons.push('has no PT_LOAD segment, so none of it is loaded, wanted an executable; build or copy it again');
  }
  if (machine !== undefined && file.machine !== MACHINE_NAMES[machine]) {
    reasons.push(`is for ${file.machine}, wanted ${machine} (${MACHINE_NAMES[machine]}); build it for ${machine}`);
  }
  return reasons;
}

/** The reasons against an executable. libc.so.6 passes: it has an interpreter, and can be executed. */
export function executableReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons = programReasons(file, machine);
  if (kindOf(file) === 'shared-library') {
    reasons.push(
      'is a shared library (ET_DYN without DF_1_PIE), wanted an executable; name the program, not its library',
    );
  }
  return reasons;
}

/** The reasons against a static executable. */
export function staticReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons = executableReasons(file, machine);
  if (file.interpreter !== undefined) {
    const found = `is dynamically linked, with the interpreter (PT_INTERP) ${shown(file.interpreter)}`;
    reasons.push(`${found}, wanted a static executable; ${BUILD_IT_STATIC}`);
  }
  const needed = file.dynamic?.needed ?? [];
  if (needed.length > 0) {
    const names = needed.map(shown).join(', ');
    reasons.push(`depends on shared libraries (DT_NEEDED) ${names}, wanted none; ${BUILD_IT_STATIC}`);
  }
  return reasons;
}
