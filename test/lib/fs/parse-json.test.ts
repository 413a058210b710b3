// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { firstInList, isTable, parseJson, parseTable } from '../../../lib/fs/parse-json.ts';

describe('a table', () => {
  test.each([{}, { a: 1 }, Object.create(null)])('%j is one', (value) => {
    expect(isTable(value)).toBe(true);
  });

  test.each([undefined, null, [], [{}], 'x', 1, true, new Date(0), () => 1])('%o is not', (value) => {
    expect(isTable(value)).toBe(false);
  });
});

test.each([
  ['{"a": [1]}', { a: [1] }, { a: [1] }],
  [' {} ', {}, {}],
  ['[1]', [1], undefined],
  ['null', null, undefined],
  ['"x"', 'x', undefined],
  ['', undefined, undefined],
  ['{', undefined, undefined],
  ['<html>', undefined, undefined],
])('%j is the value %j, and the table %j', (text, value, table) => {
  expect(parseJson(text)).toEqual(value);
  expect(parseTable(text)).toEqual(table);
});

test.each([
  ['[{"a": 1}, {"a": 2}]', { a: 1 }],
  ['[]', undefined],
  ['[1]', undefined],
  ['{"a": 1}', undefined],
  ['', undefined],
])('the first table in the list %j', (text, table) => {
  expect(firstInList(text)).toEqual(table);
});
