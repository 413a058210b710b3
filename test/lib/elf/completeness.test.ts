// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { complaint, type DamageRow, expectDamage, parse } from '../../support/elf-reads.ts';

const dynamic = buildElf(DYNAMIC_RECIPE);
const plain = buildElf();
const size = dynamic.bytes.length;
const big = 0xffffffffffffff00n;
const at = (field: string) => `0x${dynamic.offsetOf(field).toString(16)}`;

// Every row is a file that a reader without the check takes for sound.
const rows: DamageRow[] = [
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
    'static, PT_LOAD outside',
    plain,
    { 'PT_LOAD.p_offset': 0x1000 },
    'program header 0 at offset 0x40: segment ends at',
  ],
  [
    'a section outside',
    dynamic,
    { 'SHT_STRTAB.sh_size': 0x9000 },
    `at offset ${at('SHT_STRTAB.sh_name')}: section ends`,
  ],
  ['a section that wraps', dynamic, { 'SHT_STRTAB.sh_offset': big }, 'section header 1 at offset'],
  ['a section linked to nowhere', dynamic, { 'SHT_DYNAMIC.sh_link': 5 }, 'it is linked to section 5 but there are 5'],
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
  ['version needs only as a section', dynamic, { 'DT_VERNEED.tag': 21, 'DT_VERNEEDNUM.tag': 21 }, 'has no DT_VERNEED'],
  [
    'version needs in another place',
    dynamic,
    { 'SHT_GNU_verneed.sh_offset': 0x40 },
    'version needs are at offset 0x40 but the file has DT_VERNEED at offset',
  ],
];
test.each(rows)('%s', (_name, image, changes, message) => expectDamage(image, changes, message));

test('a file without section headers is as good as its segments', () => {
  expect(parse(buildElf({ ...DYNAMIC_RECIPE, sections: false }).bytes)).toMatchObject({
    dynamic: { isPie: true },
    versionNeeds: [{ name: 'GLIBC_2.29' }, { name: 'GLIBC_2.2.5' }, { name: 'GLIBC_2.34' }],
    sections: [],
  });
});

test('a thousand defects are one line', () => {
  const bytes = buildElf({ payload: 80_000 }).with({ e_shnum: 1000, e_shoff: 4096 });
  bytes.fill(0xff, 4096, 4096 + 64_000);
  expect(complaint(bytes)).toMatch(/^section header 0 at offset 0x1000: [^\n]{1,200}$/);
});
