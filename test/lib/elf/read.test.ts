// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readElf } from '../../../lib/elf/read.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../../support/elf-builder.ts';
import { complaint, counting, parse } from '../../support/elf-reads.ts';
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
      dynamic: { needed: ['libm.so.6', 'libc.so.6'], isPie: true, hasRelr: false },
      versionNeeds: [
        { library: 'libm.so.6', name: 'GLIBC_2.29' },
        { library: 'libc.so.6', name: 'GLIBC_2.2.5' },
        { library: 'libc.so.6', name: 'GLIBC_2.34' },
      ],
    });
  });

  test('a static executable', () => {
    const { bytes } = buildElf({ machine: 183 });
    const file = parse(bytes);
    expect(file).toMatchObject({ type: 2, machine: 'aarch64', size: bytes.length, versionNeeds: [] });
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
    expect(readerFacts(readElf(path))).toEqual(readelfFacts(said));
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
