// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitShellWords } from '../../../lib/sandbox/shell-words.ts';
import { anyWord } from '../../support/any-text.ts';
import { refusalOf } from '../../support/task-errors.ts';

test('any words come back from the quoting of bash', () => {
  const quoted = (words: string[]) =>
    execFileSync('bash', ['-c', 'printf "%q " "$@"', 'bash', ...words], { encoding: 'utf8' });
  const single = (words: string[]) => words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  fc.assert(
    fc.property(fc.array(anyWord(12), { minLength: 1, maxLength: 4 }), (words) => {
      expect(splitShellWords('x', single(words))).toEqual(words);
    }),
  );
  for (const words of [
    ['a b', 'c'],
    ['"', "'", '\\'],
    ['', 'x'],
    ['$HOME `x` !', '*?['],
  ]) {
    expect(splitShellWords('x', quoted(words))).toEqual(words);
  }
});

test.each([
  ['', []],
  ['  \n', []],
  ['a  b\tc\n', ['a', 'b', 'c']],
  [`"a \\" \\$x \\y" b'c'd`, ['a " $x \\y', 'bcd']],
  ['\'\' ""', ['', '']],
  ['a\\ b', ['a b']],
  ['a\\\nb "c\\\nd"', ['ab', 'cd']],
])('%j', (text, words) => {
  expect(splitShellWords('x', text)).toEqual(words);
});

test.each(["'", '"a', 'a\\', '"a\\"'])('%j is not closed', (text) => {
  expect(refusalOf(() => splitShellWords('x', text))).toMatch(/^2: x is /);
});
