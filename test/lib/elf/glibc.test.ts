// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { glibcReasons, highestGlibc, parseGlibcLimit } from '../../../lib/elf/glibc.ts';
import { inspectGlibc } from '../../../lib/elf/verify.ts';
import { TaskError } from '../../../lib/errors.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../../support/elf-builder.ts';
import { parse } from '../../support/elf-reads.ts';
import { buildRealBinaries, canCompile } from '../../support/real-binaries.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const LIMIT = { major: 2, minor: 28 };

const fileOf = (recipe: Recipe) => parse(buildElf(recipe).bytes);
const needing = (names: readonly string[], recipe: Recipe = {}) =>
  fileOf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names }], ...recipe });
/** The reasons against content that is not read yet; an acceptance gives none. */
function reasonsAgainst(content: Uint8Array, max = LIMIT): string[] {
  const verdict = inspectGlibc({ name: 'binary', content }, { max });
  return verdict.ok ? [] : verdict.reasons;
}

describe('what a binary needs', () => {
  test.each([
    [['GLIBC_2.2.5'], 'GLIBC_2.2'],
    [['GLIBC_2.9', 'GLIBC_2.28', 'GLIBC_2.3.4'], 'GLIBC_2.28'],
    [['GLIBC_2.28.1'], 'GLIBC_2.28'],
    [['GLIBC_1.99'], 'GLIBC_1.99'],
    [['GLIBCXX_3.4.30', 'GCC_3.0', 'OPENSSL_3.0.0'], 'none'],
  ])('%j is within 2.28, highest %s', (names, highest) => {
    expect(highestGlibc(needing(names))).toBe(highest);
    expect(glibcReasons(needing(names), LIMIT)).toEqual([]);
  });

  test.each([
    [['GLIBC_2.29'], ['GLIBC_2.29'], 'allowed is up to GLIBC_2.28'],
    [['GLIBC_2.100', 'GLIBC_2.9'], ['GLIBC_2.100'], 'needs GLIBC_2.100'],
    [['GLIBC_3.0'], ['GLIBC_3.0'], 'needs GLIBC_3.0'],
    [['GLIBC_2.34', 'GLIBC_2.29', 'GLIBC_2.34'], ['GLIBC_2.29', 'GLIBC_2.34'], 'needs GLIBC_2.34'],
    [['GLIBC_PRIVATE', 'GLIBC_2.29'], ['GLIBC_2.29', 'GLIBC_PRIVATE'], 'needs GLIBC_2.29'],
    [['GLIBC_2.33.1'], ['GLIBC_2.33.1'], '(glibc 2.33)'],
    [
      ['GLIBC_ABI_DT_RELR'],
      ['GLIBC_ABI_DT_RELR'],
      "(glibc 2.36), allowed is up to GLIBC_2.28; link it without '-z pack",
    ],
    [['GLIBC_ABI_NEW_THING'], ['GLIBC_ABI_NEW_THING'], 'a version that is not known here'],
    [['GLIBC_PRIVATE'], ['GLIBC_PRIVATE'], "do not use glibc's internals"],
    [['GLIBC_'], ['GLIBC_'], 'a version that is not known here'],
    [['GLIBC_2'], ['GLIBC_2'], 'a version that is not known here'],
    [['GLIBC_2.x'], ['GLIBC_2.x'], 'a version that is not known here'],
    [['GLIBC_2.1 2.99'], ['GLIBC_2.1 2.99'], 'a version that is not known here'],
    [['GLIBC_2.99999999999999999999'], ['GLIBC_2.99999999999999999999'], 'a version that is not known here'],
  ])('%j: %j refused at 2.28', (names, refused, message) => {
    const reasons = glibcReasons(needing(names), LIMIT);
    expect(reasons.join('\n')).toContain(message);
    expect(reasons.map((reason) => /^needs (.*) of 'libc.so.6'/.exec(reason)?.[1])).toEqual(refused);
  });

  test('no limit is high enough for what is not a release', () => {
    const max = { major: 99, minor: 99 };
    for (const name of ['GLIBC_PRIVATE', 'GLIBC_ABI_NEW_THING']) {
      expect(glibcReasons(needing([name]), max)).toHaveLength(1);
      expect(highestGlibc(needing([name]))).toBe('none');
    }
  });

  test('one reason for a version that several libraries have', () => {
    const versions = ['libc.so.6', 'libm.so.6'].map((library) => ({ library, names: ['GLIBC_2.29'] }));
    const file = fileOf({ ...DYNAMIC_RECIPE, versions });
    expect(glibcReasons(file, LIMIT)).toEqual([expect.stringContaining("needs GLIBC_2.29 of 'libc.so.6'")]);
  });

  test('packed relocations count without a version for them, but only together with glibc', () => {
    const file = needing(['GLIBC_2.17'], { relr: true });
    expect(glibcReasons(file, LIMIT)).toEqual([expect.stringContaining('needs DT_RELR')]);
    expect(glibcReasons(file, { major: 2, minor: 36 })).toEqual([]);
    expect(highestGlibc(file)).toBe('GLIBC_2.36');
    const isolated = fileOf({ type: 3, pie: true, relr: true });
    expect(glibcReasons(isolated, LIMIT)).toEqual([]);
    expect(highestGlibc(isolated)).toBe('none');
  });

  test('L15: packed relocations of a real binary need glibc 2.36', ({ skip }) => {
    const path = canCompile() ? buildRealBinaries(temporaryDirectory()).get('packed-relocations') : undefined;
    if (path === undefined) return skip('no linker here that knows -z pack-relative-relocs');
    expect(reasonsAgainst(readFileSync(path), { major: 2, minor: 34 })).toEqual([
      expect.stringContaining('needs GLIBC_ABI_DT_RELR of '),
    ]);
    const verdict = inspectGlibc(path, { max: { major: 2, minor: 36 } });
    expect(verdict).toMatchObject({ ok: true, facts: { glibc: 'GLIBC_2.36' } });
  });

  test('a static binary needs none', () => {
    expect(highestGlibc(fileOf({}))).toBe('none');
    expect(glibcReasons(fileOf({}), LIMIT)).toEqual([]);
  });

  test('C21: what is not a whole ELF file is refused', ({ skip }) => {
    expect(reasonsAgainst(Buffer.from('just text\n'))).toHaveLength(1);
    expect(reasonsAgainst(Buffer.from(''))).toHaveLength(1);
    if (process.platform !== 'linux' || !existsSync('/bin/ls')) return skip('/bin/ls is not an ELF file here');
    const cut = readFileSync('/bin/ls').subarray(0, 3000);
    expect(reasonsAgainst(cut).join('\n')).toContain('but the file has 3000 bytes');
    expect(reasonsAgainst(cut, { major: 99, minor: 0 })).not.toEqual([]);
  });
});

describe('the limit', () => {
  test.each([
    ['2.28', { major: 2, minor: 28 }],
    ['2.4', { major: 2, minor: 4 }],
    ['10.0', { major: 10, minor: 0 }],
  ])('%s is a limit', (text, version) => {
    expect(parseGlibcLimit(text)).toEqual(version);
  });

  test.each([
    'nonsense',
    '',
    '2',
    '2.',
    '.28',
    '2.28.1',
    ' 2.28',
    '2.28\n',
    'v2.28',
    '2,28',
    '-2.28',
    '2.0x1c',
    '2.1e3',
    `2.${'9'.repeat(30)}`,
  ])('C21: %j is not a limit', (text) => {
    const parsing = expect(() => parseGlibcLimit(text));
    parsing.toThrow(TaskError);
    parsing.toThrow(expect.objectContaining({ exitCode: 2 }));
    parsing.toThrow(/^[^\n]+MAJOR\.MINOR, such as 2\.28$/);
  });
});
