// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { leastPart, ratioText, summarise, verdicts } from './numbers.ts';

describe('summarise', () => {
  test('takes the middle of an odd number, and between the two middle ones of an even number', () => {
    expect(summarise([30, 1, 2])).toEqual({ min: 1, median: 2, max: 30 });
    expect(summarise([30, 1, 2, 4])).toEqual({ min: 1, median: 3, max: 30 });
    expect(summarise([7])).toEqual({ min: 7, median: 7, max: 7 });
  });

  test('refuses an empty list', () => {
    expect(() => summarise([])).toThrow(RangeError);
  });
});

const time = { min: 30, median: 60, max: 90 };

test('a ratio is of medians, and of minima in parentheses', () => {
  expect(ratioText(time, { min: 20, median: 30, max: 31 })).toBe('2.00 (1.50)');
  expect(ratioText(time, undefined)).toBe('-');
});

test('work that keeps all cores busy cannot be done in less time', () => {
  expect(leastPart(1000, 2000, 2)).toBe(1);
  expect(leastPart(1000, 2000, 8)).toBe(0.25);
});

describe('verdicts', () => {
  const measured = { programs: 14, time, node: { min: 1, median: 30, max: 1 }, floor: { min: 1, median: 24, max: 1 } };

  test('meets a limit that is just kept, and misses one by a little', () => {
    expect(verdicts({ programs: 14, timesNode: 1.99 }, measured)).toEqual([
      'programs: 14 of at most 14, met',
      'times node -e 0: 2.00 of at most 1.99, MISSED',
      'times its floor: 2.50 of at most 2.6, met',
    ]);
  });

  test('every case is held to its floor', () => {
    expect(verdicts({}, { ...measured, floor: { min: 1, median: 20, max: 1 } })).toEqual([
      'times its floor: 3.00 of at most 2.6, MISSED',
    ]);
  });

  test('does not call met what was not measured', () => {
    expect(verdicts({ programs: 14 }, { ...measured, programs: undefined, floor: undefined })).toEqual([
      'programs: not measured (at most 14)',
      'times its floor: not measured (at most 2.6)',
    ]);
  });
});
