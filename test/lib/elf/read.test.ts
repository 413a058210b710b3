// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withFileSource } from '../../../lib/elf/headers.ts';
import { parseElf } from '../../../lib/elf/read.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../../support/elf-builder.ts';
import { complaint, counting, type DamageRow, expectDamage, parse } from '../../support/elf-reads.ts';
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

describe('what is read', () => {
  test('a dynamic executable', () => {
    expect(parse(buildElf(DYNAMIC_RECIPE).bytes)).toMatchObject({
      interpreter: '/lib64/ld-linux-x86-64.so.2',
      dynamic: {
        needed: ['libm.so.6', 'libc.so.6'],
        isPie: true,
        hasRelr: false,
        versionNeeds: [
          { library: 'libm.so.6', name: 'GLIBC_2.29' },
          { library: 'libc.so.6', name: 'GLIBC_2.2.5' },
          { library: 'libc.so.6', name: 'GLIBC_2.34' },
        ],
      },
    });
  });

  test('a static executable', () => {
    const { bytes } = buildElf({ machine: 183 });
    const file = parse(bytes);
    expect(file).toMatchObject({ type: 2, machine: 'aarch64' });
    expect(file.dynamic).toBeUndefined();
    expect(file.interpreter).toBeUndefined();
  });

  test('a large file is not read whole', () => {
    const source = counting(buildElf({ ...DYNAMIC_RECIPE, payload: 40_000_000 }).bytes);
    expect(complaint(source)).toBeUndefined();
    expect(source.bytesRead).toBeLessThan(16_384);
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
    if (said === undefined) return skip('no readelf, or not an ELF platform');
    expect(readerFacts(withFileSource(path, parseElf))).toEqual(readelfFacts(said));
  });

  test.for(kinds)('%s: every truncation is a complaint, every mutation is bounded', (kind, { skip }) => {
    const path = real.get(kind);
    if (path === undefined) return skip(`no C compiler that can build ${kind}`);
    const bytes = readFileSync(path);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), (length) => {
        expect(complaint(bytes.subarray(0, length))).toBeDefined();
      }),
      { numRuns: 300 },
    );
    mutate(bytes, 300);
  });
});

describe('hand-built images', () => {
  test('every truncation of every kind is a complaint', () => {
    const recipes: Recipe[] = [{}, DYNAMIC_RECIPE, { type: 3, pie: true }];
    for (const recipe of recipes) {
      const { bytes } = buildElf(recipe);
      for (let length = 0; length < bytes.length; length += 1) {
        expect(complaint(bytes.subarray(0, length)), `${length} bytes`).toBeDefined();
      }
    }
  });

  test('every mutation is bounded', () => mutate(buildElf(DYNAMIC_RECIPE).bytes, 4000));
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
      expect(complaint(source) ?? '').not.toMatch(/NaN|undefined|Infinity|\n/);
      expect(source.reads).toBeLessThan(200_000);
      expect(source.bytesRead).toBeLessThan(64 * 1024 * 1024);
    }),
    { numRuns },
  );
}

test('the reader needs nothing but node:fs', () => {
  const library = new URL('../../../lib/elf/', import.meta.url).pathname;
  const sources = readdirSync(library).map((name) => readFileSync(join(library, name), 'utf8'));
  const imported = sources.flatMap((text) => [...text.matchAll(/(?:from|import) '([^.'][^']*)'/g)].map((m) => m[1]));
  expect([...new Set(imported)]).toEqual(['node:fs']);
});

const dynamicImage = buildElf(DYNAMIC_RECIPE);
const plain = buildElf();
const size = dynamicImage.bytes.length;
const big = 0xffffffffffffff00n;

// Every row is a file that a reader without the check takes for sound.
const rows: DamageRow[] = [
  [
    'PT_LOAD outside',
    dynamicImage,
    { 'PT_LOAD.p_filesz': 0x9000, 'PT_LOAD.p_memsz': 0x9000 },
    `program header 1 ends at 0x9000 but the file has ${size} bytes`,
  ],
  [
    'PT_LOAD that wraps',
    dynamicImage,
    { 'PT_LOAD.p_offset': big, 'PT_LOAD.p_filesz': 0x200 },
    'ends at 0x10000000000000100',
  ],
  ['PT_DYNAMIC outside', dynamicImage, { 'PT_DYNAMIC.p_filesz': 0x9000 }, 'program header 2 ends at'],
  ['PT_INTERP outside', dynamicImage, { 'PT_INTERP.p_filesz': big }, 'program header 0 ends at'],
  ['static, PT_LOAD outside', plain, { 'PT_LOAD.p_offset': 0x1000 }, 'program header 0 ends at'],
  ['a section outside', dynamicImage, { 'SHT_STRTAB.sh_size': 0x9000 }, 'section header 1 ends at'],
  ['a section that wraps', dynamicImage, { 'SHT_STRTAB.sh_offset': big }, 'section header 1 ends at'],
  ['dynamic section elsewhere', dynamicImage, { 'SHT_DYNAMIC.sh_offset': 0x40 }, 'is not where the dynamic section is'],
  ['no dynamic section', dynamicImage, { 'SHT_DYNAMIC.sh_type': 1 }, 'is not where the dynamic section is'],
  ['no dynamic segment', dynamicImage, { 'PT_DYNAMIC.p_type': 4 }, 'is not where the dynamic section is'],
  [
    'dynamic segment at another address',
    dynamicImage,
    { 'PT_DYNAMIC.p_vaddr': 0x40 },
    'is outside its table of 0 bytes',
  ],
  [
    'dynamic segment not loaded',
    dynamicImage,
    { 'PT_DYNAMIC.p_vaddr': big },
    'PT_DYNAMIC: no segment loads its address',
  ],

  [
    'interpreter not terminated',
    dynamicImage,
    { 'PT_INTERP.p_filesz': 4 },
    '(PT_INTERP): the string at offset 0xe8 is not terminated',
  ],
  [
    'interpreter of no bytes',
    dynamicImage,
    { 'PT_INTERP.p_filesz': 0 },
    'interpreter (PT_INTERP): index 0x0 is outside',
  ],
  ['dynamic section without end', dynamicImage, { 'PT_DYNAMIC.p_filesz': 32 }, 'has no DT_NULL in its 2 entries'],
  [
    'string table not loaded',
    dynamicImage,
    { DT_STRTAB: 0x900000 },
    'DT_STRTAB: no segment loads its address 0x900000',
  ],
  ['no string table', dynamicImage, { 'DT_STRSZ.tag': 21 }, 'outside its table of 0 bytes'],
  ['needed name outside', dynamicImage, { DT_NEEDED1: 0x800 }, 'name of a needed library (DT_NEEDED): index 0x800'],
  ['needed name at 2^63', dynamicImage, { DT_NEEDED0: 1n << 63n }, 'index 0x8000000000000000 is outside'],
  ['needed name not terminated', dynamicImage, { DT_STRSZ: 5 }, 'is not terminated'],
  ['version needs not loaded', dynamicImage, { DT_VERNEED: big }, 'DT_VERNEED: no segment loads'],
  ['vn_next leaves the file', dynamicImage, { 'verneed0.vn_next': 0xfffffff0 }, 'leaves its segment'],
  ['vn_next into itself', dynamicImage, { 'verneed0.vn_next': 1 }, 'or is inside the one before it'],
  ['vn_aux leaves the file', dynamicImage, { 'verneed0.vn_aux': 0xffffffff }, 'leaves its segment'],
  ['vna_next into itself', dynamicImage, { 'vernaux1.vna_next': 8 }, 'or is inside the one before it'],
  ['vna_name outside', dynamicImage, { 'vernaux0.vna_name': 0xffffff }, 'name of a version need: index 0xffffff'],
  ['vn_file outside', dynamicImage, { 'verneed0.vn_file': 0xffffff }, 'library of a version need: index 0xffffff'],
];
test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));

test('a file without section headers is as good as its segments', () => {
  const versionNeeds = [{ name: 'GLIBC_2.29' }, { name: 'GLIBC_2.2.5' }, { name: 'GLIBC_2.34' }];
  expect(parse(buildElf({ ...DYNAMIC_RECIPE, sections: false }).bytes)).toMatchObject({
    dynamic: { isPie: true, versionNeeds },
    sections: [],
  });
});

test('a thousand defects are one line', () => {
  const bytes = buildElf({ payload: 80_000 }).with({ e_shnum: 1000, e_shoff: 4096 });
  bytes.fill(0xff, 4096, 4096 + 64_000);
  expect(complaint(bytes)).toMatch(/^section header 0 ends at [^\n]{1,200}$/);
});

describe('a dynamic section of needed libraries', () => {
  /** An image with this many DT_NEEDED in a row, and zeros after them. */
  function neededTimes(count: number): Buffer {
    const image = buildElf({ type: 3, pie: true, sections: false, payload: 3_000_000 });
    const start = image.offsetOf('DT_NULL.tag');
    const bytes = image.with({ 'PT_DYNAMIC.p_filesz': 2_900_000, 'PT_DYNAMIC.p_memsz': 2_900_000 });
    for (let at = start; at < start + 16 * count; at += 16) bytes[at] = 1;
    return bytes;
  }

  test('that has no end among as many as are believed', () => {
    const source = counting(neededTimes(175_000));
    expect(complaint(source)).toContain('has no DT_NULL in its 65536 entries');
    expect(source.bytesRead).toBeLessThan(2_000_000);
  });
});
