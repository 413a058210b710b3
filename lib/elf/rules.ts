// SPDX-License-Identifier: Apache-2.0

/**
 * The rules for shipped binaries, as pure functions from a file that was read to the reasons against it: what was
 * found, what is wanted, what to do.
 */
import { shown } from '../errors.ts';
import type { Arch } from '../host.ts';
import { ET, PT } from './format.ts';
import type { ElfFile } from './read.ts';
import { hex } from './source.ts';

/** What a file is to a user who runs it. `other` is an object file, a core dump, or of an unknown type. */
export type BinaryKind = 'static' | 'static-pie' | 'dynamic' | 'shared-library' | 'other';

/** ELF's names of the architectures. */
export const MACHINE_NAMES: Readonly<Record<Arch, string>> = { amd64: 'x86-64', arm64: 'aarch64' };

const TYPES: Readonly<Record<number, string>> = {
  [ET.none]: 'a file without a type (ET_NONE)',
  [ET.rel]: 'a relocatable object (ET_REL)',
  [ET.core]: 'a core dump (ET_CORE)',
};

const BUILD_IT_STATIC = "build it for a *-linux-musl target, or with '-C target-feature=+crt-static'";

/** How it is linked, and whether it is a program at all. */
export function kindOf(file: ElfFile): BinaryKind {
  if (!isProgram(file)) return 'other';
  if (file.interpreter !== undefined) return 'dynamic';
  if (file.type === ET.dyn && !file.dynamic?.isPie) return 'shared-library';
  if (file.dynamic !== undefined && file.dynamic.needed.length > 0) return 'dynamic';
  return file.type === ET.dyn ? 'static-pie' : 'static';
}

/** Against an executable or shared library for the machine; `undefined` allows any machine. */
export function programReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons: string[] = [];
  if (!isProgram(file)) {
    const found = TYPES[file.type] ?? `of the ELF type ${hex(file.type)}`;
    reasons.push(`is ${found}, wanted an executable; link it, or name the program`);
  }
  if (machine !== undefined && file.machine !== MACHINE_NAMES[machine]) {
    reasons.push(`is for ${file.machine}, wanted ${machine} (${MACHINE_NAMES[machine]}); build it for ${machine}`);
  }
  if (isProgram(file) && !file.segments.some(({ type }) => type === PT.load)) {
    reasons.push('has no PT_LOAD segment, so none of it is loaded, wanted an executable; build or copy it again');
  }
  return reasons;
}

/** Against an executable. libc.so.6 passes: it has an interpreter, and can be executed. */
export function executableReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons = programReasons(file, machine);
  if (kindOf(file) === 'shared-library') {
    reasons.push(
      'is a shared library (ET_DYN without DF_1_PIE), wanted an executable; name the program, not its library',
    );
  }
  return reasons;
}

/** Against a static executable. */
export function staticReasons(file: ElfFile, machine: Arch | undefined): string[] {
  const reasons = executableReasons(file, machine);
  if (file.interpreter !== undefined) {
    const found = `is dynamically linked, with the interpreter (PT_INTERP) ${shown(file.interpreter)}`;
    reasons.push(`${found}, wanted a static executable; ${BUILD_IT_STATIC}`);
  }
  const needed = file.dynamic?.needed ?? [];
  if (needed.length > 0) {
    reasons.push(`depends on shared libraries (DT_NEEDED) ${listed(needed)}, wanted none; ${BUILD_IT_STATIC}`);
  }
  return reasons;
}

function isProgram(file: ElfFile): boolean {
  return file.type === ET.exec || file.type === ET.dyn;
}

function listed(names: string[]): string {
  const first = names.slice(0, 10).map(shown).join(', ');
  return names.length > 10 ? `${first} and ${names.length - 10} more` : first;
}
