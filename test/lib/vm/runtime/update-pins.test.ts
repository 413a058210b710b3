// SPDX-License-Identifier: Apache-2.0

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readPins, resolveReleaseConfig } from '../../../../lib/vm/runtime/config.ts';
import { pinsDifference, writePins } from '../../../../lib/vm/runtime/update-pins.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const digest = (letter: string) => letter.repeat(64);

test("the suite's own file can be read", () => {
  expect(() => readPins(resolveReleaseConfig({}).pinsPath)).not.toThrow();
});

test('what is written is read again, sorted, and the same content is left alone', () => {
  const path = join(temporaryDirectory(), 'pins/x.json');
  writePins(path, { b: digest('b'), a: digest('a') });
  expect(Object.entries(readPins(path))).toEqual([
    ['a', digest('a')],
    ['b', digest('b')],
  ]);
  const before = statSync(path).mtimeMs;
  writePins(path, { a: digest('a'), b: digest('b') });
  expect(statSync(path).mtimeMs).toBe(before);
  expect(() => readPins(`${path}.gone`)).toThrow('ENOENT');
});

test('a difference: what is gone, new, and changed', () => {
  const before = { a: digest('1'), b: digest('2'), c: digest('3') };
  const after = { b: digest('2'), c: digest('4'), d: digest('5') };
  expect(pinsDifference(before, after)).toEqual([
    `- a ${digest('1')}`,
    `- c ${digest('3')}`,
    `+ c ${digest('4')}`,
    `+ d ${digest('5')}`,
  ]);
});
