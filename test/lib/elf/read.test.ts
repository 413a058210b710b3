// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ElfFile, parseElf, readElf } from '../../../lib/elf/read.ts';
import { type ByteSource, ElfError, memorySource, withFileSource } from '../../../lib/elf/source.ts';
import { TaskError } from '../../../lib/errors.ts';
import { buildElf, DYNAMIC_RECIPE, type Image, type Recipe } from '../../support/elf-builder.ts';
import {
  buildRealBinaries,
  canCompile,
  type RealKind,
  readelf,
  readelfFacts,
  readerFacts,
} from '../../support/real-binaries.ts';

let directory: string;
let real = new Map<RealKind, string>();

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'elf-'));
  if (canCompile()) real = buildRealBinaries(directory);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const parse = (bytes: Uint8Array): ElfFile => parseElf(memorySource(bytes));
const defectsOf = (image: Image, changes: Record<string, number | bigint>) => parse(image.with(changes)).defects;
/** What a reader of this file is told: the one error, or the defects. */
function complaints(bytes: Uint8Array): string[] {
  try {
    return parse(bytes).defects;
  } catch (error) {
    if (error instanceof ElfError) return [error.message];
    throw error;
  }
}

const ENCODINGS = [
  { class: 64, endian: 'little' },
  { class: 64, endian: 'big' },
  { class: 32, endian: 'little' },
  { class: 32, endian: 'big' },
] as const;

describe('what is read', () => {
  test.each(ENCODINGS)('a dynamic executable, $class-bit, $endian-endian', (encoding) => {
    const file = parse(buildElf({ ...DYNAMIC_RECIPE, ...encoding }).bytes);
    expect(file).toMatchObject({
      ...encoding,
      type: 'DYN',
      machine: 62,
      interpreter: '/lib64/ld-linux-x86-64.so.2',
      dynamic: { needed: ['libm.so.6', 'libc.so.6'], isPie: true, hasRelr: false },
      versionNeeds: [
        { library: 'libm.so.6', name: 'GLIBC_2.29' },
        { library: 'libc.so.6', name: 'GLIBC_2.2.5' },
        { library: 'libc.so.6', name: 'GLIBC_2.34' },
      ],
      defects: [],
    });
    expect(file.segments.map((segment) => segment.type)).toEqual([3, 1, 2]);
    expect(file.sections.map((section) => section.type)).toEqual([0, 3, 8, 0x6ffffffe, 6]);
    expect(file.entry).toBe(file.segments[1]?.fileSize === undefined ? undefined : file.segments[1].fileSize - 1n);
  });

  test.each(ENCODINGS)('a static executable, $class-bit, $endian-endian', (encoding) => {
    const { bytes } = buildElf({ ...encoding, machine: 183 });
    const file = parse(bytes);
    expect(file).toMatchObject({ ...encoding, type: 'EXEC', size: bytes.length, versionNeeds: [], defects: [] });
    expect(file.dynamic).toBeUndefined();
    expect(file.interpreter).toBeUndefined();
    expect(file.entry).toBeGreaterThan(0x400000n);
  });

  test.each([
    [62, 64, 'little', 'x86-64'],
    [62, 32, 'little', 'x32'],
    [183, 64, 'little', 'aarch64'],
    [183, 64, 'big', 'aarch64_be'],
    [3, 32, 'little', 'i386'],
    [40, 32, 'little', 'arm'],
    [243, 64, 'little', 'riscv64'],
    [243, 32, 'little', 'riscv32'],
    [22, 64, 'big', 's390x'],
    [21, 64, 'little', 'ppc64le'],
    [21, 64, 'big', 'ppc64'],
    [4660, 64, 'little', 'machine 4660'],
  ] as const)('machine %i, %i-bit, %s-endian is %s', (machine, elfClass, endian, name) => {
    expect(parse(buildElf({ machine, class: elfClass, endian }).bytes).machineName).toBe(name);
  });

  test.each([
    [0, 'NONE'],
    [1, 'REL'],
    [2, 'EXEC'],
    [3, 'DYN'],
    [4, 'CORE'],
    [0xfe00, '0xfe00'],
  ])('type %i is %s', (type, name) => {
    expect(parse(buildElf({ type }).bytes).type).toBe(name);
  });

  test('a file without section headers is as good as its segments', () => {
    expect(parse(buildElf({ ...DYNAMIC_RECIPE, sections: false }).bytes)).toMatchObject({
      dynamic: { isPie: true },
      versionNeeds: [{ name: 'GLIBC_2.29' }, { name: 'GLIBC_2.2.5' }, { name: 'GLIBC_2.34' }],
      sections: [],
      defects: [],
    });
  });

  test('extended numbering: the counts are in section header 0', () => {
    const image = buildElf(DYNAMIC_RECIPE);
    const plain = parse(image.bytes);
    const extended = image.with({
      e_shnum: 0,
      'SHT_NULL.sh_size': plain.sections.length,
      e_phnum: 0xffff,
      'SHT_NULL.sh_info': plain.segments.length,
      e_shstrndx: 0xffff,
      'SHT_NULL.sh_link': 1,
    });
    const file = parse(extended);
    expect(file.defects).toEqual([]);
    expect(file.segments).toEqual(plain.segments);
    expect(file.sections).toHaveLength(plain.sections.length);
  });
});

describe('what is wrong is said with its offset', () => {
  const dynamic = buildElf(DYNAMIC_RECIPE);
  const plain = buildElf();
  const size = dynamic.bytes.length;
  const big = 0xffffffffffffff00n;
  const at = (field: string) => `0x${dynamic.offsetOf(field).toString(16)}`;

  // One wrong field each. Every row is a file that a reader without the check takes for sound.
  const rows: [string, Image, Record<string, number | bigint>, string][] = [
    ['ELF version', dynamic, { EI_VERSION: 0 }, 'ELF version at offset 0x6 is 0, wanted 1'],
    ['e_version', dynamic, { e_version: 2 }, 'e_version at offset 0x14 is 2, wanted 1'],
    ['e_phentsize', dynamic, { e_phentsize: 55 }, 'program header table at offset 0x40: its entries have 55 bytes'],
    ['e_shentsize', dynamic, { e_shentsize: 40 }, 'its entries have 40 bytes, wanted 64'],
    ['program headers outside', dynamic, { e_phoff: size - 8 }, 'program header table at offset 0x'],
    [
      'program headers at a wrapping offset',
      dynamic,
      { e_phoff: big },
      'program header table at offset 0xffffffffffff',
    ],
    ['section headers outside', dynamic, { e_shoff: size }, 'section header table at offset 0x'],
    ['section headers at a wrapping offset', dynamic, { e_shoff: big }, `but the file has ${size} bytes`],
    ['more sections than there are', dynamic, { e_shnum: 6 }, '6 entries of 64 bytes end at'],
    ['sections without a table', dynamic, { e_shoff: 0 }, 'e_shnum says 5 section headers but e_shoff is 0'],
    ['a table without sections', dynamic, { e_shnum: 0 }, 'neither e_shnum nor section header 0 says how many'],
    ['extended program headers, no count', dynamic, { e_phnum: 0xffff }, 'e_phnum is 0xffff (PN_XNUM) but'],
    [
      'absurd number of program headers',
      dynamic,
      { e_phnum: 0xffff, 'SHT_NULL.sh_info': 0xffffffff },
      'it claims 4294967295 entries, more than',
    ],
    ['absurd number of sections', dynamic, { e_shnum: 0, 'SHT_NULL.sh_size': big }, 'it claims 1844674407370955'],
    ['section names', dynamic, { e_shstrndx: 5 }, 'e_shstrndx is 5 but there are 5 section headers'],
    [
      'PT_LOAD outside',
      dynamic,
      { 'PT_LOAD.p_filesz': 0x9000, 'PT_LOAD.p_memsz': 0x9000 },
      `program header 1 at offset ${at('PT_LOAD.p_type')}: segment ends at 0x9000 but the file has ${size} bytes`,
    ],
    [
      'PT_LOAD that wraps',
      dynamic,
      { 'PT_LOAD.p_offset': big, 'PT_LOAD.p_filesz': 0x200 },
      'ends at 0x10000000000000100',
    ],
    ['PT_LOAD larger than its memory', dynamic, { 'PT_LOAD.p_memsz': 1 }, 'only 0x1 in memory'],
    ['PT_DYNAMIC outside', dynamic, { 'PT_DYNAMIC.p_filesz': 0x9000 }, 'program header 2 at offset'],
    ['PT_INTERP outside', dynamic, { 'PT_INTERP.p_filesz': big }, 'program header 0 at offset 0x40: segment ends at'],
    [
      'a section outside',
      dynamic,
      { 'SHT_STRTAB.sh_size': 0x9000 },
      `at offset ${at('SHT_STRTAB.sh_name')}: section ends`,
    ],
    ['a section that wraps', dynamic, { 'SHT_STRTAB.sh_offset': big }, 'section header 1 at offset'],
    ['a section linked to nowhere', dynamic, { 'SHT_DYNAMIC.sh_link': 5 }, 'it is linked to section 5 but there are 5'],
    ['interpreter not terminated', dynamic, { 'PT_INTERP.p_filesz': 4 }, 'is not terminated by'],
    ['interpreter empty', dynamic, { interpreter: 0 }, 'interpreter (PT_INTERP) at offset 0xe8 is empty'],
    ['two interpreters', dynamic, { 'PT_DYNAMIC.p_type': 3 }, 'there are 2 PT_INTERP segments'],
    ['two dynamic segments', dynamic, { 'PT_INTERP.p_type': 2 }, 'there are 2 PT_DYNAMIC segments'],
    ['two dynamic sections', dynamic, { 'SHT_STRTAB.sh_type': 6 }, 'there are 2 SHT_DYNAMIC sections'],
    [
      'dynamic section elsewhere',
      dynamic,
      { 'SHT_DYNAMIC.sh_offset': 0x40 },
      'but the dynamic section is at offset 0x40',
    ],
    ['no dynamic section', dynamic, { 'SHT_DYNAMIC.sh_type': 1 }, 'but the dynamic section is nowhere'],
    ['no dynamic segment', dynamic, { 'PT_DYNAMIC.p_type': 4 }, 'PT_DYNAMIC is nowhere but the dynamic section is at'],
    ['dynamic segment at another address', dynamic, { 'PT_DYNAMIC.p_vaddr': 0x40 }, 'its address 0x40 is loaded from'],
    ['dynamic segment not loaded', dynamic, { 'PT_DYNAMIC.p_vaddr': big }, 'is not loaded from the file'],
    ['dynamic section without end', dynamic, { 'PT_DYNAMIC.p_filesz': 32 }, 'has no DT_NULL in its 2 entries'],
    ['string table not loaded', dynamic, { DT_STRTAB: 0x900000 }, 'DT_STRTAB: no segment loads its address 0x900000'],
    ['string table too large', dynamic, { DT_STRSZ: big }, 'leave their segment'],
    ['no string table', dynamic, { 'DT_STRSZ.tag': 21 }, 'names but no string table'],
    ['two string tables', dynamic, { 'DT_STRSZ.tag': 5 }, 'has DT_STRTAB more than once'],
    ['needed name outside', dynamic, { DT_NEEDED1: 0x800 }, 'name of a needed library (DT_NEEDED): index 0x800'],
    ['needed name at 2^63', dynamic, { DT_NEEDED0: 1n << 63n }, 'index 0x8000000000000000 is outside'],
    ['needed name not terminated', dynamic, { DT_STRSZ: 5 }, 'is not terminated by'],
    ['version needs not loaded', dynamic, { DT_VERNEED: big }, 'DT_VERNEED: no segment loads'],
    [
      'version needs without a number',
      dynamic,
      { 'DT_VERNEEDNUM.tag': 21 },
      'only one of DT_VERNEED and DT_VERNEEDNUM',
    ],
    ['a wrong number of them', dynamic, { DT_VERNEEDNUM: 1 }, 'name 2 libraries but DT_VERNEEDNUM says 1'],
    [
      'version needs only as a section',
      dynamic,
      { 'DT_VERNEED.tag': 21, 'DT_VERNEEDNUM.tag': 21 },
      'has no DT_VERNEED',
    ],
    [
      'version needs in another place',
      dynamic,
      { 'SHT_GNU_verneed.sh_offset': 0x40 },
      'version needs at offset 0x40 but',
    ],
    ['vn_version', dynamic, { 'verneed1.vn_version': 2 }, 'vn_version is 2'],
    ['vn_next leaves the file', dynamic, { 'verneed0.vn_next': 0xfffffff0 }, 'leaves its segment'],
    ['vn_next into itself', dynamic, { 'verneed0.vn_next': 1 }, 'would begin 1 bytes on, inside it'],
    ['vn_next hides the rest', dynamic, { 'verneed0.vn_next': 0 }, 'name 1 libraries but DT_VERNEEDNUM says 2'],
    ['vn_aux leaves the file', dynamic, { 'verneed0.vn_aux': 0xffffffff }, 'leaves its segment'],
    ['vn_cnt', dynamic, { 'verneed1.vn_cnt': 1 }, 'the chain has 2 but its head says 1'],
    ['vna_next hides the rest', dynamic, { 'vernaux1.vna_next': 0 }, 'the chain has 1 but its head says 2'],
    ['vna_next into itself', dynamic, { 'vernaux1.vna_next': 8 }, 'would begin 8 bytes on'],
    ['vna_name outside', dynamic, { 'vernaux0.vna_name': 0xffffff }, 'name of a version need: index 0xffffff'],
    ['vn_file outside', dynamic, { 'verneed0.vn_file': 0xffffff }, 'library of a version need: index 0xffffff'],
    [
      'static, PT_LOAD outside',
      plain,
      { 'PT_LOAD.p_offset': 0x1000 },
      'program header 0 at offset 0x40: segment ends at',
    ],
  ];
  test.each(rows)('%s', (_name, image, changes, message) => {
    expect(defectsOf(image, {})).toEqual([]);
    expect(defectsOf(image, changes).join('\n')).toContain(message);
  });

  test.each([
    [[], 'it is empty'],
    [Buffer.from('#!/bin/sh\nexit 0\n'), "it is a script ('#!')"],
    [Buffer.from('cffaedfe07000001', 'hex'), 'Mach-O binary, built for macOS'],
    [Buffer.from('28b52ffd0458', 'hex'), 'compressed with zstd'],
    [Buffer.from('hello'), 'begins with the bytes 68 65 6c 6c 6f'],
    [Buffer.from('\x7fEL'), 'begins with the bytes 7f 45 4c'],
    [Buffer.from('\x7fELF\x02\x01\x01'), 'it has 16 bytes but the file has 7'],
    [plain.with({ EI_CLASS: 3 }), 'ELF class at offset 0x4 is 3'],
    [plain.with({ EI_DATA: 0 }), 'ELF byte order at offset 0x5 is 0'],
    [plain.bytes.subarray(0, 63), 'a 64-bit one has 64 bytes but the file has 63'],
  ])('no ELF file at all: %#', (bytes, message) => {
    expect(() => parse(Uint8Array.from(bytes))).toThrow(ElfError);
    expect(() => parse(Uint8Array.from(bytes))).toThrow(message);
  });

  test('an ElfError is a TaskError that ends with 1', () => {
    const error = new ElfError('is no ELF file');
    expect(error).toBeInstanceOf(TaskError);
    expect(error.exitCode).toBe(1);
  });

  test('a thousand defects are not a thousand lines', () => {
    const image = buildElf({ payload: 80_000 });
    const bytes = image.with({ e_shnum: 1000, e_shoff: 4096 });
    bytes.fill(0xff, 4096, 4096 + 64_000);
    const { defects } = parse(bytes);
    expect(defects.length).toBeLessThan(20);
    expect(defects.at(-1)).toMatch(/^and \d+ more/);
  });
});

/** A source that counts, so that a bound on work does not depend on how busy the machine is. */
function counting(bytes: Uint8Array): ByteSource & { reads: number; bytesRead: number } {
  const inner = memorySource(bytes);
  const source = {
    size: inner.size,
    reads: 0,
    bytesRead: 0,
    read: (offset: number, length: number) => {
      source.reads += 1;
      source.bytesRead += length;
      return inner.read(offset, length);
    },
  };
  return source;
}

describe('hostile files end', () => {
  test('a version chain that goes on for a megabyte', () => {
    const image = buildElf({ ...DYNAMIC_RECIPE, sections: false, payload: 1_200_000 });
    const bytes = image.with({ 'vernaux2.vna_next': 0x400 });
    // From there on each record names a version and links to the next one.
    const start = image.offsetOf('vernaux2.vna_hash') + 0x400;
    for (let at = start; at + 32 < bytes.length; at += 16) {
      bytes.writeUInt32LE(1, at + 8);
      bytes.writeUInt32LE(16, at + 12);
    }
    const source = counting(bytes);
    expect(parseElf(source).defects.join()).toContain('version needs go on after 32768');
    expect(source.reads).toBeLessThan(40_000);
  });

  test('many libraries that share one long chain', () => {
    const image = buildElf({ ...DYNAMIC_RECIPE, sections: false, payload: 1_200_000 });
    const bytes = image.with({ 'verneed1.vn_next': 0x400 });
    const libraries = image.offsetOf('verneed1.vn_version') + 0x400;
    const chain = libraries + 400_000;
    for (let at = libraries; at + 16 <= chain; at += 16) {
      bytes.writeUInt16LE(1, at);
      bytes.writeUInt16LE(20_000, at + 2);
      bytes.writeUInt32LE(chain - at, at + 8);
      bytes.writeUInt32LE(16, at + 12);
    }
    for (let index = 0; index < 20_000; index += 1)
      bytes.writeUInt32LE(index < 19_999 ? 16 : 0, chain + index * 16 + 12);
    const source = counting(bytes);
    expect(parseElf(source).defects.join()).toContain('version needs go on after 32768');
    expect(source.reads).toBeLessThan(60_000);
  });

  test('a dynamic section that is all needed libraries', () => {
    const image = buildElf({ type: 3, pie: true, sections: false, payload: 3_000_000 });
    const start = image.offsetOf('DT_NULL.tag');
    const bytes = image.with({ 'PT_DYNAMIC.p_filesz': 2_900_000, 'PT_DYNAMIC.p_memsz': 2_900_000 });
    for (let at = start; at + 16 < start + 2_800_000; at += 16) bytes[at] = 1;
    const source = counting(bytes);
    expect(parseElf(source).defects.join()).toContain('has no DT_NULL in its 65536 entries');
    expect(source.bytesRead).toBeLessThan(2_000_000);
  });

  test('a large file is not read whole', () => {
    const source = counting(buildElf({ ...DYNAMIC_RECIPE, payload: 40_000_000 }).bytes);
    expect(parseElf(source).defects).toEqual([]);
    expect(source.bytesRead).toBeLessThan(16_384);
  });
});

describe('the file under the reader', () => {
  const path = () => join(directory, 'changing');
  const image = buildElf({ ...DYNAMIC_RECIPE, payload: 1_000_000 });

  test('one that is cut while it is read', () => {
    writeFileSync(path(), image.bytes);
    const cutAndRead = (source: ByteSource) => {
      truncateSync(path(), 100);
      return parseElf(source);
    };
    expect(() => withFileSource(path(), cutAndRead)).toThrow(ElfError);
  });

  test('one that is rewritten while it is read, in place', () => {
    writeFileSync(path(), image.bytes);
    utimesSync(path(), 1, 1);
    const rewrite = () => writeFileSync(path(), image.bytes);
    expect(() => withFileSource(path(), rewrite)).toThrow('was changed while it was read');
  });

  test('one that is cut behind what was read, with its time put back', () => {
    writeFileSync(path(), image.bytes);
    utimesSync(path(), 1, 1);
    const cut = (source: ByteSource) => {
      source.read(0, 64);
      truncateSync(path(), 5000);
      utimesSync(path(), 1, 1);
    };
    expect(() => withFileSource(path(), cut)).toThrow('was changed while it was read');
  });

  test.each([
    [-1, 4],
    [0, -4],
    [0.5, 4],
    [2 ** 53, 4],
    [Number.NaN, 4],
    [60, 5],
  ])('a read of %d, %d is refused by both sources', (offset, length) => {
    const bytes = Buffer.alloc(64);
    writeFileSync(path(), bytes);
    expect(() => memorySource(bytes).read(offset, length)).toThrow(ElfError);
    expect(() => withFileSource(path(), (source) => source.read(offset, length))).toThrow(ElfError);
    expect(withFileSource(path(), (source) => source.read(60, 4))).toHaveLength(4);
  });
});

describe('real binaries', () => {
  const kinds: RealKind[] = [
    'static',
    'static-pie',
    'dynamic-pie',
    'dynamic-exec',
    'shared-library',
    'relocatable',
    'packed-relocations',
  ];
  const paths: (RealKind | '/bin/ls' | 'node')[] = [...kinds, '/bin/ls', 'node'];

  test.for(paths)('%s reads as readelf says', (name, { skip }) => {
    const path = name === 'node' ? process.execPath : name === '/bin/ls' ? name : real.get(name);
    if (path === undefined) return skip(`no C compiler that can build ${name}`);
    const said = readelf(path);
    if (said === undefined) return skip('no readelf, or no ELF platform');
    const file = readElf(path);
    expect(file.defects).toEqual([]);
    expect(readerFacts(file)).toEqual(readelfFacts(said));
  });

  test('every truncation of every encoding and kind is a complaint', () => {
    const recipes: Recipe[] = [{}, DYNAMIC_RECIPE, { type: 3, pie: true }];
    for (const recipe of recipes) {
      for (const encoding of ENCODINGS) {
        const { bytes } = buildElf({ ...recipe, ...encoding });
        for (let length = 0; length < bytes.length; length += 1) {
          expect(complaints(bytes.subarray(0, length)), `${length} bytes`).not.toEqual([]);
        }
      }
    }
  });

  test.for(kinds)('%s: every truncation is a complaint, every mutation is bounded', (kind, { skip }) => {
    const path = real.get(kind);
    if (path === undefined) return skip(`no C compiler that can build ${kind}`);
    const bytes = readFileSync(path);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(complaints(bytes.subarray(0, length))).not.toEqual([]);
      }),
      { numRuns: 300 },
    );
    mutate(bytes, 300);
  });

  test('hand-built images: every mutation is bounded', () => {
    for (const encoding of ENCODINGS) mutate(buildElf({ ...DYNAMIC_RECIPE, ...encoding }).bytes, 1000);
  });
});

/** Random bytes in the places that steer the reader: the headers, the dynamic section, the strings, the end. */
function mutate(bytes: Buffer, numRuns: number): void {
  const dynamic = parse(bytes).segments.find((segment) => segment.type === 2);
  const last = bytes.length - 1;
  const middle = Number(dynamic?.offset ?? 0n);
  const position = fc.oneof(
    fc.integer({ min: 0, max: Math.min(last, 1200) }),
    fc.integer({ min: Math.max(0, last - 4000), max: last }),
    fc.integer({ min: middle, max: Math.min(last, middle + 512) }),
    fc.integer({ min: 0, max: last }),
  );
  const interesting = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }));
  const edits = fc.array(fc.tuple(position, interesting), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(edits, (changes) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at] = value;
      const source = counting(copy);
      try {
        const { defects } = parseElf(source);
        for (const defect of defects) expect(defect).not.toMatch(/NaN|undefined|Infinity|\n/);
      } catch (error) {
        expect(error).toBeInstanceOf(ElfError);
      }
      expect(source.reads).toBeLessThan(200_000);
      expect(source.bytesRead).toBeLessThan(64 * 1024 * 1024);
    }),
    { numRuns },
  );
}

test('the reader needs nothing but node:fs', () => {
  const directory = new URL('../../lib/elf/', import.meta.url).pathname;
  const sources = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
  sources.push(readFileSync(join(directory, '../verify-binary.ts'), 'utf8'));
  const imported = sources.flatMap((text) => [...text.matchAll(/(?:from|import) '([^.'][^']*)'/g)].map((m) => m[1]));
  expect([...new Set(imported)]).toEqual(['node:fs']);
});
