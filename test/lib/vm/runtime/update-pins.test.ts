// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readPins, resolveReleaseConfig } from '../../../../lib/vm/runtime/config.ts';
import { pinsDifference, writePins } from '../../../../lib/vm/runtime/update-pins.ts';
import { refusalOf } from '../../../support/task-errors.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const digest = (letter: string) => letter.repeat(64);

test("the suite's own file can be read", () => {
  expect(() => readPins(resolveReleaseConfig({}).pinsPath)).not.toThrow();
});

test('what is written is read again, sorted, and the same content is left alone', () => {
  const path = join(temporaryDirectory(), 'pins/x.json');
  writePins(
    path,
    new Map([
      ['b', digest('b')],
      ['a', digest('a')],
    ]),
  );
  expect([...readPins(path)]).toEqual([
    ['a', digest('a')],
    ['b', digest('b')],
  ]);
  const before = statSync(path).mtimeMs;
  writePins(
    path,
    new Map([
      ['a', digest('a')],
      ['b', digest('b')],
    ]),
  );
  expect(statSync(path).mtimeMs).toBe(before);
  expect(refusalOf(() => readPins(`${path}.gone`))).toMatch(
    /^2: the recorded digests cannot be read; get the file back/,
  );
});

test('a difference: what is gone, new, and changed', () => {
  const before = new Map([
    ['a', digest('1')],
    ['b', digest('2')],
    ['c', digest('3')],
  ]);
  const after = new Map([
    ['b', digest('2')],
    ['c', digest('4')],
    ['d', digest('5')],
  ]);
  expect(pinsDifference(before, after)).toEqual([
    `- a ${digest('1')}`,
    `- c ${digest('3')}`,
    `+ c ${digest('4')}`,
    `+ d ${digest('5')}`,
  ]);
});
