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
  const measured = { programs: 14, time, node: { min: 1, median: 30, max: 1 }, bash: { min: 1, median: 50, max: 1 } };

  test('meets a limit that is just kept, and misses one by a little', () => {
    expect(verdicts({ programs: 14, timesNode: 2, timesBash: 1.19 }, measured)).toEqual([
      'programs: 14 of at most 14, met',
      'times node -e 0: 2.00 of at most 2, met',
      'times bash: 1.20 of at most 1.19, MISSED',
    ]);
  });

  test('tells beside a miss what is the least that could be', () => {
    const least = { chain: { min: 1, median: 40, max: 1 }, script: { min: 1, median: 66, max: 1 } };
    expect(verdicts({ timesNode: 1.6, timesBash: 1 }, { ...measured, least })).toEqual([
      'times node -e 0: 2.00 of at most 1.6, MISSED (an empty .ts file: 2.20)',
      'times bash: 1.20 of at most 1, MISSED (Node, zx/core and its chain of programs, and nothing else: 0.80)',
    ]);
    expect(verdicts({ timesBash: 2 }, { ...measured, least })).toEqual(['times bash: 1.20 of at most 2, met']);
  });

  test('does not call met what was not measured', () => {
    expect(verdicts({ programs: 14, timesBash: 1 }, { ...measured, programs: undefined, bash: undefined })).toEqual([
      'programs: not measured (at most 14)',
      'times bash: not measured (at most 1)',
    ]);
  });
});
