// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { complaint, counting, type DamageRow, expectDamage } from '../../support/elf-reads.ts';

const dynamic = buildElf(DYNAMIC_RECIPE);

const rows: DamageRow[] = [
  ['a wrong number of libraries', dynamic, { DT_VERNEEDNUM: 1 }, 'name 2 libraries but DT_VERNEEDNUM says 1'],
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
];
test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));

describe('hostile chains end', () => {
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
