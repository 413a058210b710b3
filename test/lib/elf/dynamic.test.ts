// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { complaint, counting, type DamageRow, expectDamage } from '../../support/elf-reads.ts';

const dynamic = buildElf(DYNAMIC_RECIPE);
const big = 0xffffffffffffff00n;

const rows: DamageRow[] = [
  ['interpreter not terminated', dynamic, { 'PT_INTERP.p_filesz': 4 }, '(PT_INTERP) at offset 0xe8 is not terminated'],
  ['interpreter of no bytes', dynamic, { 'PT_INTERP.p_filesz': 0 }, '(PT_INTERP) at offset 0xe8 is not terminated'],
  ['interpreter empty', dynamic, { interpreter: 0 }, 'interpreter (PT_INTERP) at offset 0xe8 is empty'],
  ['dynamic section without end', dynamic, { 'PT_DYNAMIC.p_filesz': 32 }, 'has no DT_NULL in its 2 entries'],
  ['string table not loaded', dynamic, { DT_STRTAB: 0x900000 }, 'DT_STRTAB: no segment loads its address 0x900000'],
  [
    'string table loaded twice',
    dynamic,
    { 'PT_INTERP.p_type': 1, 'PT_INTERP.p_filesz': 40, 'PT_INTERP.p_memsz': 40 },
    'DT_STRTAB: more than one segment loads its address',
  ],
  ['string table too large', dynamic, { DT_STRSZ: big }, 'leave their segment'],
  ['no string table', dynamic, { 'DT_STRSZ.tag': 21 }, 'names but no string table'],
  ['two string tables', dynamic, { 'DT_STRSZ.tag': 5 }, 'has DT_STRTAB more than once'],
  ['needed name outside', dynamic, { DT_NEEDED1: 0x800 }, 'name of a needed library (DT_NEEDED): index 0x800'],
  ['needed name at 2^63', dynamic, { DT_NEEDED0: 1n << 63n }, 'index 0x8000000000000000 is outside'],
  ['needed name not terminated', dynamic, { DT_STRSZ: 5 }, 'is not terminated'],
  ['version needs not loaded', dynamic, { DT_VERNEED: big }, 'DT_VERNEED: no segment loads'],
  ['vn_next leaves the file', dynamic, { 'verneed0.vn_next': 0xfffffff0 }, 'leaves its segment'],
  ['vn_next into itself', dynamic, { 'verneed0.vn_next': 1 }, 'would begin 1 bytes on, inside it'],
  ['vn_aux leaves the file', dynamic, { 'verneed0.vn_aux': 0xffffffff }, 'leaves its segment'],
  ['vna_next into itself', dynamic, { 'vernaux1.vna_next': 8 }, 'would begin 8 bytes on'],
  ['vna_name outside', dynamic, { 'vernaux0.vna_name': 0xffffff }, 'name of a version need: index 0xffffff'],
  ['vn_file outside', dynamic, { 'verneed0.vn_file': 0xffffff }, 'library of a version need: index 0xffffff'],
];
test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));

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

describe('hostile chains of version needs end', () => {
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
    expect(complaint(source)).toContain('version needs go on after 32768');
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
    for (let index = 0; index < 20_000; index += 1) {
      bytes.writeUInt32LE(index < 19_999 ? 16 : 0, chain + index * 16 + 12);
    }
    const source = counting(bytes);
    expect(complaint(source)).toContain('version needs go on after 32768');
    expect(source.reads).toBeLessThan(60_000);
  });
});
