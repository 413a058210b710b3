// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NOT_FOUND, plain, splitArguments, whyNotConnected } from '../../../lib/sandbox/execute.ts';
import { anyWord } from '../../support/any-text.ts';
import { refusalOf } from '../../support/task-errors.ts';

test.each(['connected', 'connected_http'])('a gateway that is %s is connected', (status) => {
  expect(whyNotConnected(JSON.stringify({ status }))).toBeUndefined();
});

test('AL-12: both ways in which the CLI says "not found", wherever it breaks the line, in colour too', () => {
  const isNotFound = (text: string) => NOT_FOUND.test(plain(text));
  expect(isNotFound('  × code: \'Some requested entity was not found\', message: "sandbox not found"')).toBe(true);
  expect(isNotFound("  × code: 'Some requested entity was\n  │ not found', message: x")).toBe(true);
  expect(isNotFound('  × status: NotFound, message: "sandbox not found", details: []')).toBe(true);
  expect(isNotFound("  × code: 'Some requested entity was\n \x1b[31m│\x1b[0m not found', message: x"), 'AL-12').toBe(
    true,
  );
  expect(isNotFound('sh: openshell: not found')).toBe(false);
  expect(isNotFound('status: Unavailable, message: "host not found"')).toBe(false);
});

test('any arguments come back from the quoting of bash', () => {
  const quoted = (args: string[]) =>
    execFileSync('bash', ['-c', 'printf "%q " "$@"', 'bash', ...args], { encoding: 'utf8' });
  const single = (args: string[]) => args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  fc.assert(
    fc.property(fc.array(anyWord(12), { minLength: 1, maxLength: 4 }), (args) => {
      expect(splitArguments('x', single(args))).toEqual(args);
    }),
  );
  for (const args of [
    ['a b', 'c'],
    ['"', "'", '\\'],
    ['', 'x'],
    ['$HOME `x` !', '*?['],
  ]) {
    expect(splitArguments('x', quoted(args))).toEqual(args);
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
])('%j', (text, args) => {
  expect(splitArguments('x', text)).toEqual(args);
});

test.each(["'", '"a', 'a\\', '"a\\"'])('%j is not closed', (text) => {
  expect(refusalOf(() => splitArguments('x', text))).toMatch(/^2: x is /);
});
