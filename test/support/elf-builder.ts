// SPDX-License-Identifier: Apache-2.0

/**
 * Builds small 64-bit little-endian ELF images by hand: the machines that no compiler is at hand for, and files that
 * are wrong in exactly one field. Records are written field by field in the order of the specification, and each field
 * has a name, so nothing here shares a position table with the reader under test.
 */
import { writeFileSync } from 'node:fs';

export interface Recipe {
  machine?: number;
  /** e_type: 1 relocatable, 2 EXEC, 3 DYN, 4 core. */
  type?: number;
  /** PT_INTERP. */
  interpreter?: string;
  needed?: readonly string[];
  /** DF_1_PIE. */
  pie?: boolean;
  /** DT_RELR, without a version need for it. */
  relr?: boolean;
  /** The libraries of .gnu.version_r, each with the names of its versions. */
  versions?: readonly { library: string; names: readonly string[] }[];
  /** PT_DYNAMIC although nothing else here needs it. */
  dynamic?: boolean;
  /** False: no PT_LOAD, or no section headers. */
  load?: boolean;
  sections?: boolean;
  /** Further bytes in the loaded segment. */
  payload?: number;
}

export interface Image {
  bytes: Buffer;
  /** Where the field of this name is (`e_phnum`, `PT_LOAD.p_filesz`, `DT_STRSZ`, `vernaux0.vna_next`). */
  offsetOf(field: string): number;
  /** A copy with these fields set; a value is written in the field's own width. */
  with(changes: Record<string, number | bigint>): Buffer;
}

interface Field {
  offset: number;
  width: number;
}

const PT = { PT_LOAD: 1, PT_DYNAMIC: 2, PT_INTERP: 3 } as const;
type Segment = keyof typeof PT;
const SHT = { SHT_NULL: 0, SHT_STRTAB: 3, SHT_DYNAMIC: 6, SHT_NOBITS: 8, SHT_GNU_verneed: 0x6ffffffe } as const;
type Section = keyof typeof SHT;

class Writer {
  readonly bytes: Buffer;
  readonly fields = new Map<string, Field>();
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
  }

  field(name: string, width: number, value: number | bigint = 0): void {
    this.fields.set(name, { offset: this.at, width });
    this.at += width;
    this.set(name, value);
  }

  set(name: string, value: number | bigint): void {
    put(this.bytes, this.require(name), BigInt(value));
  }

  require(name: string): Field {
    const field = this.fields.get(name);
    if (field === undefined) throw new Error(`no field ${name}; there are: ${[...this.fields.keys()].join(' ')}`);
    return field;
  }

  text(value: string): number {
    const start = this.at;
    this.at += this.bytes.write(`${value}\0`, start);
    return start;
  }

  align(): number {
    this.at = (this.at + 7) & ~7;
    return this.at;
  }
}

function put(bytes: Buffer, { offset, width }: Field, value: bigint): void {
  for (let index = 0; index < width; index += 1) {
    bytes[offset + index] = Number((value >> BigInt(8 * index)) & 0xffn);
  }
}

/** The image that a recipe describes; with no recipe at all, a static x86-64 executable. */
export function buildElf(recipe: Recipe = {}): Image {
  const writer = new Writer(4096 + (recipe.payload ?? 0));
  const base = recipe.type === 3 ? 0 : 0x400000;
  const hasDynamic = Boolean(recipe.dynamic || recipe.needed || recipe.pie || recipe.relr || recipe.versions);
  const segments: Segment[] = [
    ...(recipe.interpreter === undefined ? [] : ['PT_INTERP' as const]),
    ...(recipe.load === false ? [] : ['PT_LOAD' as const]),
    ...(hasDynamic ? ['PT_DYNAMIC' as const] : []),
  ];
  writeHeader(writer, recipe);
  writer.set('e_phoff', segments.length > 0 ? writer.at : 0);
  writer.set('e_phnum', segments.length);
  for (const name of segments) writeProgramHeader(writer, name);
  const body = writeBody(writer, recipe, base, hasDynamic);
  writer.at += recipe.payload ?? 0;
  const loaded = writer.align();
  place(writer, 'PT_LOAD', 0, loaded, base);
  writer.set('e_entry', base + loaded - 1);
  if (recipe.sections !== false) writeSections(writer, body, base);
  return image(writer);
}

interface Body {
  strings: Field;
  dynamic?: Field;
  versions?: Field;
}

function writeHeader(writer: Writer, recipe: Recipe): void {
  writer.bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  writer.fields.set('EI_CLASS', { offset: 4, width: 1 });
  writer.fields.set('EI_DATA', { offset: 5, width: 1 });
  writer.fields.set('EI_VERSION', { offset: 6, width: 1 });
  writer.at = 16;
  writer.field('e_type', 2, recipe.type ?? 2);
  writer.field('e_machine', 2, recipe.machine ?? 62);
  writer.field('e_version', 4, 1);
  for (const name of ['e_entry', 'e_phoff', 'e_shoff']) writer.field(name, 8);
  writer.field('e_flags', 4);
  writer.field('e_ehsize', 2, 64);
  writer.field('e_phentsize', 2, 56);
  writer.field('e_phnum', 2);
  writer.field('e_shentsize', 2, 64);
  writer.field('e_shnum', 2);
  writer.field('e_shstrndx', 2);
}

function writeProgramHeader(writer: Writer, name: Segment): void {
  writer.field(`${name}.p_type`, 4, PT[name]);
  writer.field(`${name}.p_flags`, 4, 5);
  for (const field of ['p_offset', 'p_vaddr', 'p_paddr', 'p_filesz', 'p_memsz']) writer.field(`${name}.${field}`, 8);
  writer.field(`${name}.p_align`, 8, name === 'PT_LOAD' ? 0x1000 : 1);
}

function place(writer: Writer, name: Segment, start: number, end: number, base: number): void {
  if (!writer.fields.has(`${name}.p_type`)) return;
  writer.set(`${name}.p_offset`, start);
  writer.set(`${name}.p_vaddr`, base + start);
  writer.set(`${name}.p_filesz`, end - start);
  writer.set(`${name}.p_memsz`, end - start);
}

function writeBody(writer: Writer, recipe: Recipe, base: number, hasDynamic: boolean): Body {
  if (recipe.interpreter !== undefined) {
    const start = writer.text(recipe.interpreter);
    writer.fields.set('interpreter', { offset: start, width: 1 });
    place(writer, 'PT_INTERP', start, writer.at, base);
  }
  const start = writer.text('');
  const index = new Map<string, number>();
  const versions = recipe.versions ?? [];
  for (const name of [...(recipe.needed ?? []), ...versions.flatMap((need) => [need.library, ...need.names])]) {
    if (!index.has(name)) index.set(name, writer.text(name) - start);
  }
  const body: Body = { strings: { offset: start, width: writer.at - start } };
  if (versions.length > 0) body.versions = writeVersions(writer, versions, (name) => index.get(name) ?? 0);
  if (!hasDynamic) return body;
  const needed = (recipe.needed ?? []).map((name, number) => [`DT_NEEDED${number}`, 1, index.get(name) ?? 0] as const);
  body.dynamic = writeDynamic(writer, [
    ...needed,
    ['DT_STRTAB', 5, base + start],
    ['DT_STRSZ', 10, body.strings.width],
    ...(recipe.pie ? [['DT_FLAGS_1', 0x6ffffffb, 0x08000001] as const] : []),
    ...(recipe.relr ? [['DT_RELR', 36, base] as const] : []),
    ...(body.versions === undefined
      ? []
      : [
          ['DT_VERNEED', 0x6ffffffe, base + body.versions.offset] as const,
          ['DT_VERNEEDNUM', 0x6fffffff, versions.length] as const,
        ]),
    ['DT_NULL', 0, 0],
  ]);
  place(writer, 'PT_DYNAMIC', body.dynamic.offset, body.dynamic.offset + body.dynamic.width, base);
  return body;
}

function writeDynamic(writer: Writer, entries: readonly (readonly [string, number, number])[]): Field {
  const offset = writer.align();
  for (const [name, tag, value] of entries) {
    writer.field(`${name}.tag`, 8, tag);
    writer.field(name, 8, value);
  }
  return { offset, width: writer.at - offset };
}

function writeVersions(
  writer: Writer,
  versions: NonNullable<Recipe['versions']>,
  index: (name: string) => number,
): Field {
  const offset = writer.align();
  let auxiliary = 0;
  versions.forEach(({ library, names }, number) => {
    const isLast = number === versions.length - 1;
    writer.field(`verneed${number}.vn_version`, 2, 1);
    writer.field(`verneed${number}.vn_cnt`, 2, names.length);
    writer.field(`verneed${number}.vn_file`, 4, index(library));
    writer.field(`verneed${number}.vn_aux`, 4, 16);
    writer.field(`verneed${number}.vn_next`, 4, isLast ? 0 : 16 + 16 * names.length);
    names.forEach((name, position) => {
      writer.field(`vernaux${auxiliary}.vna_hash`, 4, 0);
      writer.field(`vernaux${auxiliary}.vna_flags`, 2, 0);
      writer.field(`vernaux${auxiliary}.vna_other`, 2, auxiliary + 2);
      writer.field(`vernaux${auxiliary}.vna_name`, 4, index(name));
      writer.field(`vernaux${auxiliary}.vna_next`, 4, position === names.length - 1 ? 0 : 16);
      auxiliary += 1;
    });
  });
  return { offset, width: writer.at - offset };
}

function writeSections(writer: Writer, body: Body, base: number): void {
  writer.set('e_shoff', writer.align());
  writer.set('e_shstrndx', 1);
  const sections: [Section, Field][] = [
    ['SHT_NULL', { offset: 0, width: 0 }],
    ['SHT_STRTAB', body.strings],
    // As .bss: it has a size, and no bytes in the file.
    ['SHT_NOBITS', { offset: body.strings.offset, width: 0x100000 }],
  ];
  if (body.versions !== undefined) sections.push(['SHT_GNU_verneed', body.versions]);
  if (body.dynamic !== undefined) sections.push(['SHT_DYNAMIC', body.dynamic]);
  writer.set('e_shnum', sections.length);
  for (const [name, { offset, width }] of sections) {
    writer.field(`${name}.sh_name`, 4);
    writer.field(`${name}.sh_type`, 4, SHT[name]);
    writer.field(`${name}.sh_flags`, 8);
    writer.field(`${name}.sh_addr`, 8, width === 0 ? 0 : base + offset);
    writer.field(`${name}.sh_offset`, 8, offset);
    writer.field(`${name}.sh_size`, 8, width);
    writer.field(`${name}.sh_link`, 4);
    writer.field(`${name}.sh_info`, 4);
    writer.field(`${name}.sh_addralign`, 8, 1);
    writer.field(`${name}.sh_entsize`, 8);
  }
}

function image(writer: Writer): Image {
  const bytes = Buffer.from(writer.bytes.subarray(0, writer.at));
  return {
    bytes,
    offsetOf: (field) => writer.require(field).offset,
    with: (changes) => {
      const copy = Buffer.from(bytes);
      for (const [field, value] of Object.entries(changes)) put(copy, writer.require(field), BigInt(value));
      return copy;
    },
  };
}

/** Writes an image that can be executed as far as its mode goes. @returns the path */
export function writeElf(path: string, bytes: Uint8Array): string {
  writeFileSync(path, bytes, { mode: 0o755 });
  return path;
}

export const DYNAMIC_RECIPE: Recipe = {
  type: 3,
  pie: true,
  interpreter: '/lib64/ld-linux-x86-64.so.2',
  needed: ['libm.so.6', 'libc.so.6'],
  versions: [
    { library: 'libm.so.6', names: ['GLIBC_2.29'] },
    { library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_2.34'] },
  ],
};
