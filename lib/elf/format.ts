// SPDX-License-Identifier: Apache-2.0

/**
 * The ELF format as data: numbers, names and field positions of both classes, and a view that decodes fields in the
 * file's own byte order. Source: System V gABI (chapters 4 and 5), GNU extensions from the Linux Standard Base.
 */

/** How the fields of one file are encoded. */
export interface Encoding {
  class: 32 | 64;
  endian: 'little' | 'big';
}

export const PT = { load: 1, dynamic: 2, interp: 3 } as const;
export const SHT = { null: 0, dynamic: 6, nobits: 8, gnuVerneed: 0x6ffffffe } as const;
export const DT = {
  null: 0n,
  needed: 1n,
  strtab: 5n,
  strsz: 10n,
  relr: 36n,
  flags1: 0x6ffffffbn,
  verneed: 0x6ffffffen,
  verneednum: 0x6fffffffn,
} as const;
/** The bit of DT_FLAGS_1 that tells a position-independent executable from a shared library. */
export const DF_1_PIE = 0x08000000n;
/** e_phnum and e_shstrndx: the real value is in section header 0. */
export const EXTENDED = 0xffff;

const TYPES = ['NONE', 'REL', 'EXEC', 'DYN', 'CORE'] as const;

/** `EXEC`, `DYN`, `REL`, `CORE`, `NONE`; another e_type as its number (`0xfe00`). */
export function typeName(type: number): string {
  return TYPES[type] ?? `0x${type.toString(16)}`;
}

export const EM = { x86_64: 62, aarch64: 183 } as const;

/** e_machine by number; the names are those of the GNU target triples. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [2, 'sparc'],
  [3, 'i386'],
  [8, 'mips'],
  [20, 'ppc'],
  [21, 'ppc64'],
  [22, 's390x'],
  [40, 'arm'],
  [43, 'sparc64'],
  [EM.x86_64, 'x86-64'],
  [EM.aarch64, 'aarch64'],
  [243, 'riscv64'],
  [258, 'loongarch64'],
]);

/** The same numbers under another class or byte order, where that is another target. */
const VARIANTS: ReadonlyMap<string, string> = new Map([
  ['8/little', 'mipsel'],
  ['21/little', 'ppc64le'],
  ['22/32', 's390'],
  ['40/big', 'armeb'],
  ['62/32', 'x32'],
  ['183/32', 'aarch64_ilp32'],
  ['183/big', 'aarch64_be'],
  ['243/32', 'riscv32'],
  ['258/32', 'loongarch32'],
]);

/** The machine's common name (`x86-64`); one that is not in the table as `machine 1234`. */
export function machineName(machine: number, encoding: Encoding): string {
  const variant = VARIANTS.get(`${machine}/${encoding.class}`) ?? VARIANTS.get(`${machine}/${encoding.endian}`);
  return variant ?? MACHINES.get(machine) ?? `machine ${machine}`;
}

/** Positions of the fields that the reader wants, in bytes from the start of their record. */
export const LAYOUT = {
  32: {
    header: {
      size: 52,
      entry: 24,
      phoff: 28,
      shoff: 32,
      phentsize: 42,
      phnum: 44,
      shentsize: 46,
      shnum: 48,
      strndx: 50,
    },
    segment: { size: 32, type: 0, offset: 4, vaddr: 8, filesz: 16, memsz: 20 },
    section: { size: 40, type: 4, offset: 16, bytes: 20, link: 24, info: 28 },
    dynamic: { size: 8, value: 4 },
  },
  64: {
    header: {
      size: 64,
      entry: 24,
      phoff: 32,
      shoff: 40,
      phentsize: 54,
      phnum: 56,
      shentsize: 58,
      shnum: 60,
      strndx: 62,
    },
    segment: { size: 56, type: 0, offset: 8, vaddr: 16, filesz: 32, memsz: 40 },
    section: { size: 64, type: 4, offset: 24, bytes: 32, link: 40, info: 44 },
    dynamic: { size: 16, value: 8 },
  },
} as const;

/** Decodes the fields of a record, or of a table of records, in the file's encoding. Positions are in bytes. */
export class Fields {
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #is64: boolean;

  constructor(bytes: Uint8Array, encoding: Encoding) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = encoding.endian === 'little';
    this.#is64 = encoding.class === 64;
  }

  u16(at: number): number {
    return this.#view.getUint16(at, this.#little);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }

  /** An address, offset or size: 4 bytes in a 32-bit file, 8 in a 64-bit one. A bigint, so sums cannot wrap. */
  word(at: number): bigint {
    return this.#is64 ? this.#view.getBigUint64(at, this.#little) : BigInt(this.u32(at));
  }
}
