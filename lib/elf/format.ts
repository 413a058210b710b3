// SPDX-License-Identifier: Apache-2.0

/**
 * The 64-bit little-endian ELF format as data: numbers, names, and the positions of the fields that are read. Source:
 * System V gABI (chapters 4 and 5), GNU extensions from the Linux Standard Base.
 */
import type { Arch } from '../host.ts';

/** The ELF header (Elf64_Ehdr). As in all records here: its size, and the positions of fields from its start. */
export const EHDR = { bytes: 64, class: 4, data: 5, identVersion: 6, type: 16, machine: 18, version: 20 } as const;
/** The two tables, with the fields in which the ELF header says where each is and how large. */
export const EHDR_SEGMENTS = { name: 'program header', recordBytes: 56, offset: 32, entrySize: 54, count: 56 } as const;
export const EHDR_SECTIONS = {
  name: 'section header',
  recordBytes: 64,
  offset: 40,
  entrySize: 58,
  count: 60,
  namesIndex: 62,
} as const;
/** A program header (Elf64_Phdr), a section header (Elf64_Shdr), and an entry of the dynamic section (Elf64_Dyn). */
export const PHDR = { type: 0, offset: 8, address: 16, fileSize: 32, memorySize: 40 } as const;
export const SHDR = { type: 4, offset: 24, size: 32, link: 40 } as const;
export const DYN = { bytes: 16, tag: 0, value: 8 } as const;
/** A library's version needs (Elf64_Verneed), and one of them (Elf64_Vernaux), which has its size and its `next`. */
export const VERNEED = { bytes: 16, version: 0, count: 2, file: 4, aux: 8, next: 12 } as const;
export const VERNAUX = { name: 8 } as const;

/** In e_phnum (PN_XNUM) or e_shstrndx (SHN_XINDEX): the number is too large for the field, and is kept elsewhere. */
export const EXTENDED = 0xffff;
export const ET = { none: 0, rel: 1, exec: 2, dyn: 3, core: 4 } as const;
export const PT = { null: 0, load: 1, dynamic: 2, interp: 3 } as const;
export const SHT = { null: 0, dynamic: 6, nobits: 8, gnuVerneed: 0x6ffffffe } as const;
export const DT = {
  DT_NULL: 0n,
  DT_NEEDED: 1n,
  DT_STRTAB: 5n,
  DT_STRSZ: 10n,
  DT_RELR: 36n,
  DT_FLAGS_1: 0x6ffffffbn,
  DT_VERNEED: 0x6ffffffen,
  DT_VERNEEDNUM: 0x6fffffffn,
} as const;
/** The bit of DT_FLAGS_1 that marks a position-independent executable; a shared library does not have it. */
export const DF_1_PIE = 0x08000000n;

const MACHINES: Readonly<Record<number, string>> = {
  3: 'i386',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x86-64',
  183: 'aarch64',
  243: 'riscv64',
};

/** The names of the machines that a binary is shipped for. */
export const MACHINE_NAMES: Readonly<Record<Arch, string>> = { amd64: 'x86-64', arm64: 'aarch64' };

/** The name of an e_machine, such as `x86-64`; a machine without a name here as `machine 1234`. */
export function machineName(machine: number): string {
  return MACHINES[machine] ?? `machine ${machine}`;
}
