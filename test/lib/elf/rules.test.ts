// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { executableReasons, kindOf, programReasons, staticReasons } from '../../../lib/elf/rules.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../../support/elf-builder.ts';
import { parse } from '../../support/elf-reads.ts';

const STATIC_PIE: Recipe = { type: 3, pie: true };
const ARM64 = 183;

const fileOf = (recipe: Recipe) => parse(buildElf(recipe).bytes);

test.each([
  ['dynamic PIE', DYNAMIC_RECIPE, 'dynamic'],
  ['dynamic, classic', { ...DYNAMIC_RECIPE, type: 2, pie: false }, 'dynamic'],
  ['dynamic PIE of an old linker, without DF_1_PIE', { ...DYNAMIC_RECIPE, pie: false }, 'dynamic'],
  ['static', {}, 'static'],
  ['static-PIE', STATIC_PIE, 'static-pie'],
] as const)('%s is an executable', (_name, recipe, kind) => {
  const file = fileOf(recipe);
  expect(kindOf(file)).toBe(kind);
  expect(executableReasons(file, 'amd64')).toEqual([]);
});

test.each([
  ['a shared library', { type: 3, needed: ['libc.so.6'] }, 'is a shared library'],
  ['an object file', { type: 1 }, 'is a relocatable object'],
  ['nothing to load', { load: false }, 'has no PT_LOAD segment'],
  ['another machine', { ...DYNAMIC_RECIPE, machine: ARM64 }, 'wanted amd64'],
] as const)('%s is not', (_name, recipe, message) => {
  const file = fileOf(recipe);
  expect(executableReasons(file, 'amd64')).toEqual([expect.stringContaining(message)]);
});

test.each([
  ['aarch64', { machine: ARM64 }, 'is for aarch64, wanted amd64 (x86-64); build it for amd64'],
  ['unknown', { machine: 999 }, 'is for machine 999, wanted amd64 (x86-64); build it for amd64'],
])('%s is refused where amd64 is wanted, and where no machine is wanted it is not', (_name, recipe, reason) => {
  expect(programReasons(fileOf(recipe), 'amd64')).toEqual([reason]);
  expect(programReasons(fileOf(recipe), undefined)).toEqual([]);
});

test('long lists of libraries are shortened', () => {
  const needed = Array.from({ length: 30 }, (_, index) => `lib${index}.so`);
  expect(staticReasons(fileOf({ needed }), undefined)[0]).toContain("'lib9.so' and 20 more");
});
