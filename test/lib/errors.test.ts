// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeError, EXIT, failure, oneLine, shown, TaskError, usageError } from '../../lib/errors.ts';
import { anyText } from '../support/any-text.ts';

test('the two kinds and their exit statuses', () => {
  expect(usageError('u')).toMatchObject({ name: 'TaskError', message: 'u', exitCode: 2 });
  expect(failure('f')).toMatchObject({ name: 'TaskError', message: 'f', exitCode: 1 });
  expect(failure('f', 101)).toBeInstanceOf(TaskError);
  expect(failure('f', 101).exitCode).toBe(101);
  expect(EXIT).toEqual({ failed: 1, usage: 2, vanished: 127, signalled: 128 });
});

describe('an error as one line', () => {
  test.each<[unknown, string]>([
    [new Error('alone'), 'alone'],
    [usageError('outer', { cause: new Error('inner') }), 'outer: inner'],
    [usageError('a', { cause: new Error('b', { cause: new Error('c') }) }), 'a: b: c'],
    [usageError('outer says inner', { cause: new Error('inner') }), 'outer says inner'],
    [usageError('outer', { cause: 'a text' }), 'outer: a text'],
    [usageError('outer', { cause: null }), 'outer'],
    ['a text', 'a text'],
    [new Error('two\nlines\r\n\tand a tab'), 'two\\nlines\\r\\n\\tand a tab'],
    [
      usageError('clear \u001b[2J screen', { cause: new Error('bell\u0007\u0000') }),
      'clear \\x1b[2J screen: bell\\x07\\x00',
    ],
    [new Error('c1 \u009b2J, delete \u007f'), 'c1 \\x9b2J, delete \\x7f'],
    [new Error('separators \u2028 \u2029'), 'separators \\x2028 \\x2029'],
  ])('%o', (error, text) => {
    expect(describeError(error)).toBe(text);
  });

  test('causes that go in a circle end', () => {
    const first = new Error('first');
    const second = new Error('second', { cause: first });
    first.cause = second;
    expect(describeError(first)).toBe('first: second');
  });

  test('whatever the messages hold, nothing that a terminal would act on is left', () => {
    fc.assert(
      fc.property(fc.array(anyText(), { minLength: 1, maxLength: 4 }), (messages) => {
        let error: Error | undefined;
        for (const message of messages) error = new Error(message, error === undefined ? {} : { cause: error });
        const line = describeError(error);
        expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        expect(line).toContain(oneLine(messages.at(-1) ?? ''));
      }),
    );
  });
});

test('a value in an error is quoted, on one line, and cut when it is very long', () => {
  expect(shown('')).toBe("''");
  expect(shown('a\nb')).toBe("'a\\nb'");
  expect(shown('x'.repeat(120))).toBe(`'${'x'.repeat(120)}'`);
  expect(shown('x'.repeat(121))).toBe(`'${'x'.repeat(117)}...'`);
});
