// SPDX-License-Identifier: Apache-2.0
import { truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ByteSource, ElfError, memorySource, withFileSource } from '../../../lib/elf/headers.ts';
import { parseElf } from '../../../lib/elf/read.ts';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { complaint, type DamageRow, expectDamage, parse } from '../../support/elf-reads.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const dynamic = buildElf(DYNAMIC_RECIPE);
const plain = buildElf();
const size = dynamic.bytes.length;
const big = 0xffffffffffffff00n;

test('the headers of a dynamic executable', () => {
  const file = parse(dynamic.bytes);
  expect(file).toMatchObject({ type: 3, machine: 'x86-64' });
  expect(file.segments.map((segment) => segment.type)).toEqual([3, 1, 2]);
  expect(file.sections.map((section) => section.type)).toEqual([0, 3, 8, 0x6ffffffe, 6]);
});

test.each([0, 1, 2, 3, 4, 0xfe00])('type %i', (type) => {
  expect(parse(buildElf({ type }).bytes).type).toBe(type);
});

describe('a header or table that is wrong is damage', () => {
  const rows: DamageRow[] = [
    ['e_phentsize', dynamic, { e_phentsize: 55 }, 'program header table at offset 0x40: its entries have 55 bytes'],
    ['e_shentsize', dynamic, { e_shentsize: 40 }, 'its entries have 40 bytes, wanted 64'],
    ['program headers outside', dynamic, { e_phoff: size - 8 }, 'are outside the file'],
    ['program headers at a wrapping offset', dynamic, { e_phoff: big }, 'are outside the file'],
    ['program headers without a table', dynamic, { e_phoff: 0 }, 'it would begin inside the ELF header'],
    ['section headers outside', dynamic, { e_shoff: size }, 'are outside the file'],
    ['section headers at a wrapping offset', dynamic, { e_shoff: big }, `the file, which has ${size} bytes`],
    ['more sections than there are', dynamic, { e_shnum: 6 }, '384 bytes at offset'],
    ['sections without a table', dynamic, { e_shoff: 0 }, 'it would begin inside the ELF header'],
    ['extended numbering', dynamic, { e_phnum: 0xffff }, '3669960 bytes at offset'],
  ];
  test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));
});

test.each([
  ['i386', { EI_CLASS: 1, e_machine: 3 }],
  ['of no known class', { EI_CLASS: 3 }],
  ['of no known byte order', { EI_DATA: 0 }],
  ['s390x', { EI_DATA: 2, e_machine: 22 << 8 }],
  ['unknown, 32-bit and big-endian', { EI_CLASS: 1, EI_DATA: 2, e_machine: 0x1234 }],
])('%s cannot ship and is refused', (_name, changes) => {
  expect(complaint(dynamic.with(changes))).toBe('is not a 64-bit little-endian ELF file; build it for amd64 or arm64');
});

test.each([
  [[], 'it is empty'],
  [Buffer.from('#!/bin/sh\nexit 0\n'), 'begins with the bytes 23212f62696e2f73'],
  [Buffer.from('\x7fEL'), 'begins with the bytes 7f454c'],
  [Buffer.from('\x7fELF\x02\x01\x01'), '64 bytes at offset 0x0 are outside the file, which has 7 bytes'],
  [plain.bytes.subarray(0, 63), 'the file, which has 63 bytes'],
])('not an ELF file at all: %#', (bytes, message) => {
  expect(() => parse(Uint8Array.from(bytes))).toThrow(ElfError);
  expect(() => parse(Uint8Array.from(bytes))).toThrow(message);
});

test('an error that is not about the file goes on as it is', () => {
  const bug = new TypeError('a bug');
  const fail = () => {
    throw bug;
  };
  expect(() => withFileSource(process.execPath, fail)).toThrow(bug);
});

describe('the file under the reader', () => {
  const image = buildElf({ ...DYNAMIC_RECIPE, payload: 1_000_000 });
  function changing(): string {
    const path = join(temporaryDirectory(), 'changing');
    writeFileSync(path, image.bytes);
    utimesSync(path, 1, 1);
    return path;
  }

  test('one that is cut while it is read', () => {
    const path = changing();
    const cutAndRead = (source: ByteSource) => {
      truncateSync(path, 100);
      return parseElf(source);
    };
    expect(() => withFileSource(path, cutAndRead)).toThrow(ElfError);
  });

  test.each([
    [2 ** 53, 4],
    [60, 5],
  ])('a read of %d, %d is refused by both sources', (offset, length) => {
    const path = join(temporaryDirectory(), 'small');
    const bytes = Buffer.alloc(64);
    writeFileSync(path, bytes);
    expect(() => memorySource(bytes).read(offset, length)).toThrow(ElfError);
    expect(() => withFileSource(path, (source) => source.read(offset, length))).toThrow(ElfError);
    expect(withFileSource(path, (source) => source.read(60, 4))).toHaveLength(4);
  });
});
