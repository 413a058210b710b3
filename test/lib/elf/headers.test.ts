// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { ElfError } from '../../../lib/elf/byte-source.ts';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { complaint, type DamageRow, expectDamage, parse } from '../../support/elf-reads.ts';

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
    ['program headers outside', dynamic, { e_phoff: size - 8 }, 'program header table at offset 0x'],
    ['program headers at a wrapping offset', dynamic, { e_phoff: big }, 'header table at offset 0xffffffffffff'],
    ['program headers without a table', dynamic, { e_phoff: 0 }, 'its 3 entries would begin inside the ELF header'],
    ['section headers outside', dynamic, { e_shoff: size }, 'section header table at offset 0x'],
    ['section headers at a wrapping offset', dynamic, { e_shoff: big }, `but the file has ${size} bytes`],
    ['more sections than there are', dynamic, { e_shnum: 6 }, '6 entries of 64 bytes: ends at'],
    ['sections without a table', dynamic, { e_shoff: 0 }, 'its 5 entries would begin inside the ELF header'],
    ['extended numbering', dynamic, { e_phnum: 0xffff }, '65535 entries of 56 bytes: ends at'],
  ];
  test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));
});

describe('what cannot ship is refused with one line that says what it is', () => {
  const wanted = 'wanted 64-bit little-endian (amd64 or arm64); build it for amd64 or arm64';

  test.each([
    ['i386', { EI_CLASS: 1, e_machine: 3 }, 'a 32-bit i386'],
    ['arm', { EI_CLASS: 1, e_machine: 40 }, 'a 32-bit arm'],
    ['x32', { EI_CLASS: 1 }, 'a 32-bit x86-64'],
    ['of no known class', { EI_CLASS: 3 }, 'a class 3 x86-64'],
    ['of no known byte order', { EI_DATA: 0 }, 'a 64-bit byte order 0 x86-64'],
    ['s390x', { EI_DATA: 2, e_machine: 22 << 8 }, 'a 64-bit big-endian s390x'],
    ['ppc64', { EI_DATA: 2, e_machine: 21 << 8 }, 'a 64-bit big-endian ppc64'],
    ['big-endian aarch64', { EI_DATA: 2, e_machine: 183 << 8 }, 'a 64-bit big-endian aarch64'],
    [
      'unknown, 32-bit and big-endian',
      { EI_CLASS: 1, EI_DATA: 2, e_machine: 0x1234 },
      'a 32-bit big-endian machine 13330',
    ],
  ])('%s', (_name, changes, found) => {
    expect(complaint(dynamic.with(changes))).toBe(`is ${found} ELF file, ${wanted}`);
  });
});

test.each([
  [[], 'it is empty'],
  [Buffer.from('#!/bin/sh\nexit 0\n'), "it is a script ('#!')"],
  [Buffer.from('cffaedfe07000001', 'hex'), 'Mach-O binary, built for macOS'],
  [Buffer.from('28b52ffd0458', 'hex'), 'compressed with zstd'],
  [Buffer.from('hello'), 'begins with the bytes 68 65 6c 6c 6f'],
  [Buffer.from('\x7fEL'), 'begins with the bytes 7f 45 4c'],
  [Buffer.from('\x7fELF\x02\x01\x01'), 'it has 64 bytes but the file has 7'],
  [plain.bytes.subarray(0, 63), 'it has 64 bytes but the file has 63'],
])('not an ELF file at all: %#', (bytes, message) => {
  expect(() => parse(Uint8Array.from(bytes))).toThrow(ElfError);
  expect(() => parse(Uint8Array.from(bytes))).toThrow(message);
});
