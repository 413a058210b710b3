// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { booleanOf, choiceOf, definedOnly, textOf, wholeNumberOf } from '../../../lib/cli/env.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('booleans: one dialect (fault L1)', () => {
  test.each(['1', 'true', 'yes', 'on', 'TRUE', 'True', 'YES', 'yEs', 'ON', 'On'])('%j is true', (value) => {
    expect(booleanOf({ X: value }, 'X', false)).toBe(true);
  });

  test.each(['0', 'false', 'no', 'off', 'FALSE', 'False', 'NO', 'nO', 'OFF', 'Off'])('%j is false', (value) => {
    expect(booleanOf({ X: value }, 'X', true)).toBe(false);
  });

  test.each([true, false])('unset and empty are the fallback %j', (fallback) => {
    expect(booleanOf({}, 'X', fallback)).toBe(fallback);
    expect(booleanOf({ X: undefined }, 'X', fallback)).toBe(fallback);
    expect(booleanOf({ X: '' }, 'X', fallback)).toBe(fallback);
  });

  test.each([
    ' true',
    'true ',
    '\ttrue',
    'true\n',
    ' ',
    '2',
    '-1',
    '00',
    '01',
    'y',
    'n',
    't',
    'f',
    'enabled',
    'truthy',
  ])('%j is refused', (value) => {
    expect(refusalOf(() => booleanOf({ CI: value }, 'CI', false))).toBe(
      `2: CI is '${value.replace('\n', '\\n').replace('\t', '\\t')}'; ` +
        'allowed are 1/true/yes/on, 0/false/no/off; change it or unset it',
    );
  });

  test('other words that the caller takes are named first', () => {
    expect(refusalOf(() => booleanOf({ X: 'maybe' }, 'X', false, ['auto', 'never']))).toBe(
      "2: X is 'maybe'; allowed are auto, never, 1/true/yes/on, 0/false/no/off; change it or unset it",
    );
  });

  test('there is no third way: every value is one of the eight words, or is refused', () => {
    const words = ['1', 'true', 'yes', 'on', '0', 'false', 'no', 'off'];
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'grapheme' }), fc.mixedCase(fc.constantFrom(...words))), (value) => {
        if (value === '') return;
        const at = words.indexOf(value.toLowerCase());
        if (at >= 0) expect(booleanOf({ X: value }, 'X', at >= 4)).toBe(at < 4);
        else expect(refusalOf(() => booleanOf({ X: value }, 'X', true))).toMatch(/^2: X is '/);
      }),
    );
  });
});

describe('whole numbers', () => {
  test.each([
    ['1', 1],
    ['8192', 8192],
    ['0010', 10],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%j', (value, number) => {
    expect(wholeNumberOf({ X: value }, 'X', 1)).toBe(number);
  });

  test('unset and empty are none', () => {
    expect(wholeNumberOf({}, 'X', 1)).toBeUndefined();
    expect(wholeNumberOf({ X: '' }, 'X', 1)).toBeUndefined();
  });

  test.each([
    '1e4',
    '0x10',
    '0b1',
    '0',
    '-1',
    '+1',
    ' 5',
    '5 ',
    '5\n',
    '5.0',
    '5.',
    '.5',
    '1_000',
    '1,000',
    '५',
    'five',
    'NaN',
    'Infinity',
    'unlimited',
    '9007199254740993',
    '9'.repeat(400),
  ])('%j is refused', (value) => {
    expect(refusalOf(() => wholeNumberOf({ LIMIT: value }, 'LIMIT', 1))).toMatch(
      /^2: LIMIT is '[^\n]+'; allowed is a whole number of at least 1; change it or unset it$/,
    );
  });

  test('the least number is allowed, the one below it is not', () => {
    expect(wholeNumberOf({ X: '0' }, 'X', 0)).toBe(0);
    expect(wholeNumberOf({ X: '7' }, 'X', 7)).toBe(7);
    expect(refusalOf(() => wholeNumberOf({ X: '6' }, 'X', 7))).toBe(
      "2: X is '6'; allowed is a whole number of at least 7; change it or unset it",
    );
  });
});

describe('choices', () => {
  const ALLOWED = ['auto', 'on', 'off'] as const;

  test('one of them, or none', () => {
    expect(choiceOf({ X: 'off' }, 'X', ALLOWED)).toBe('off');
    expect(choiceOf({ X: '' }, 'X', ALLOWED)).toBeUndefined();
    expect(choiceOf({}, 'X', ALLOWED)).toBeUndefined();
  });

  test.each(['OFF', ' off', 'of', 'auto,on', 'toString', '__proto__'])('%j is refused', (value) => {
    expect(refusalOf(() => choiceOf({ X: value }, 'X', ALLOWED))).toBe(
      `2: X is '${value}'; allowed are auto, on, off; change it or unset it`,
    );
  });
});

test('text: set but empty is unset, blanks are a value', () => {
  expect(textOf({ X: ' ' }, 'X')).toBe(' ');
  expect(textOf({ X: '' }, 'X')).toBeUndefined();
  expect(textOf({}, 'X')).toBeUndefined();
});

test('a child gets what is set, empty values included', () => {
  expect(definedOnly({ A: '1', B: undefined, C: '' })).toEqual({ A: '1', C: '' });
});
