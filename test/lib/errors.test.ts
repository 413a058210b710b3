// SPDX-License-Identifier: Apache-2.0
import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  describeError,
  EXIT,
  errnoOf,
  failure,
  InterruptedError,
  machineErrorText,
  missingPackage,
  naming,
  oneLine,
  shown,
  statusOfSignal,
  TaskError,
  usageError,
} from '../../lib/errors.ts';
import { anyText } from '../support/any-text.ts';
import { temporaryDirectory } from '../support/temporary.ts';

test('the kinds that a user can act on, and their exit statuses', () => {
  expect(usageError('u')).toMatchObject({ name: 'TaskError', message: 'u', exitCode: 2 });
  expect(failure('f')).toMatchObject({ name: 'TaskError', message: 'f', exitCode: 1 });
  expect(failure('f', 101)).toBeInstanceOf(TaskError);
  expect(failure('f', 101).exitCode).toBe(101);
  expect(EXIT).toEqual({ failed: 1, usage: 2, vanished: 127 });
});

test.each([
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s to the task is an error of its own, with the status %i', (signal, status) => {
  const error = new InterruptedError(signal);
  expect(error).toBeInstanceOf(TaskError);
  expect(error).toMatchObject({ name: 'InterruptedError', message: `stopped by ${signal}`, exitCode: status });
  expect(statusOfSignal(signal)).toBe(status);
  // The status alone is not a signal: a child may end with it.
  expect(failure('f', status)).not.toBeInstanceOf(InterruptedError);
});

/** What a body throws. */
function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error('it does not throw');
}

/** An error as the system gives it. */
function machineError(code: string, fields: object = {}): Error {
  return Object.assign(new Error(`${code}: as the system says it`), {
    code,
    syscall: 'open',
    path: '/some/path',
    ...fields,
  });
}

describe('an error of the operating system', () => {
  test.each([
    ['EACCES', '/some/path: permission is denied; check its owner and mode (EACCES)'],
    ['EDQUOT', '/some/path: the disk quota is used up; free some space (EDQUOT)'],
    ['EMFILE', '/some/path: this process has too many open files; raise the limit (ulimit -n) (EMFILE)'],
    ['ENAMETOOLONG', '/some/path: the name is too long; use a shorter path (ENAMETOOLONG)'],
    ['ENOENT', '/some/path: it does not exist (ENOENT)'],
    ['ENOSPC', '/some/path: no space is left on the device; free some (ENOSPC)'],
    ['EROFS', '/some/path: the file system is read-only; use another directory (EROFS)'],
    // One that is not foreseen: in the words of the system.
    ['ESTALE', '/some/path: ESTALE: as the system says it (ESTALE)'],
  ])('%s: the path, the reason and the next step', (code, text) => {
    expect(errnoOf(machineError(code))).toBe(code);
    expect(machineErrorText(machineError(code))).toBe(text);
    expect(describeError(machineError(code))).toBe(text);
  });

  test('without a path: the call that failed', () => {
    const nowhere = thrownBy(() => fs.writeSync(2 ** 30, 'x'));
    expect(machineErrorText(nowhere)).toMatch(/^a call of write: .+ \(EBADF\)$/);
  });

  test('of two paths both: which one is meant is not known', () => {
    const directory = temporaryDirectory();
    const [here, there] = [join(directory, 'here'), join(directory, 'there')];
    fs.writeFileSync(there, '');
    expect(machineErrorText(thrownBy(() => fs.symlinkSync(here, there)))).toBe(
      `${here} -> ${there}: something exists there already; remove it (EEXIST)`,
    );
    expect(machineErrorText(thrownBy(() => fs.copyFileSync(there, join(here, 'x'))))).toBe(
      `${there} -> ${here}/x: it does not exist (ENOENT)`,
    );
  });

  test('is one line, whatever the path holds', () => {
    const path = join(temporaryDirectory(), 'two\nlines\u001b[2J');
    expect(machineErrorText(thrownBy(() => fs.readFileSync(path)))).toMatch(
      /^[^\n]+\/two\\nlines\\x1b\[2J: it does not exist \(ENOENT\)$/,
    );
  });

  test.each<[string, unknown]>([
    ['an error of ours', usageError('u')],
    ['a bug', new TypeError('x is undefined')],
    ['a wrong argument for a function of Node', thrownBy(() => fs.readFileSync({} as string))],
    ['an error with a code of its own', Object.assign(new Error('x'), { code: 'ENOENT' })],
    ['a text', 'ENOENT'],
    ['nothing', undefined],
  ])('%s is not one', (_, error) => {
    expect(errnoOf(error)).toBeUndefined();
    expect(machineErrorText(error)).toBeUndefined();
  });

  test('named: one that has no path gets it, and any other error is left alone', () => {
    const directory = temporaryDirectory();
    const reading = thrownBy(() => naming('/a/b', () => fs.readFileSync(directory)));
    expect(machineErrorText(reading)).toBe('/a/b: it is a directory where a file is wanted; remove it (EISDIR)');
    const opening = thrownBy(() => naming('/a/b', () => fs.readFileSync(join(directory, 'x'))));
    expect(machineErrorText(opening)).toBe(`${directory}/x: it does not exist (ENOENT)`);
    const bug = new TypeError('x');
    const throwing = () => {
      throw bug;
    };
    expect(thrownBy(() => naming('/a/b', throwing))).toBe(bug);
    expect(bug).not.toHaveProperty('path');
    expect(naming('/a/b', () => 1)).toBe(1);
  });

  test('of a function of Node with codes of its own: that of the system', () => {
    const directory = temporaryDirectory();
    expect(machineErrorText(thrownBy(() => fs.rmSync(directory)))).toBe(
      `${directory}: it is a directory where a file is wanted; remove it (EISDIR)`,
    );
    const message = ", Unknown error: Device or resource busy '/x'";
    expect(machineErrorText(Object.assign(new Error(message), { code: '', syscall: 'rm', path: '/x' }))).toBe(
      "/x: , Unknown error: Device or resource busy '/x'",
    );
  });

  test('as the cause of another error: the message, then the same sentence', () => {
    expect(describeError(failure('/a/b cannot be written', 1, { cause: machineError('ENOSPC') }))).toBe(
      '/a/b cannot be written: /some/path: no space is left on the device; free some (ENOSPC)',
    );
  });
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
    [new Error('separators \u2028 \u2029'), 'separators \\u2028 \\u2029'],
  ])('%o', (error, text) => {
    expect(describeError(error)).toBe(text);
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

test('only a package that is missing is one, and no file of ours', () => {
  // What Node itself says; vitest would say it in its own words.
  const said = (code: string, message: string) => missingPackage(Object.assign(new Error(message), { code }));
  expect(said('ERR_MODULE_NOT_FOUND', "Cannot find package 'smol-toml' imported from /a/lib/x.ts")).toBe('smol-toml');
  expect(said('MODULE_NOT_FOUND', "Cannot find module 'zx/core'\nRequire stack:\n- /a/lib/x.ts")).toBe('zx');
  expect(said('MODULE_NOT_FOUND', "Cannot find module './x.node'\nRequire stack:")).toBeUndefined();
  expect(said('ERR_MODULE_NOT_FOUND', "Cannot find module '/a/lib/y.ts' imported from /a/x.ts")).toBeUndefined();
  expect(said('ENOENT', "Cannot find package 'zx'")).toBeUndefined();
});

test('a value in an error is quoted, on one line, and cut when it is very long', () => {
  expect(shown('')).toBe("''");
  expect(shown('a\nb')).toBe("'a\\nb'");
  expect(shown('x'.repeat(120))).toBe(`'${'x'.repeat(120)}'`);
  expect(shown('x'.repeat(121))).toBe(`'${'x'.repeat(117)}...'`);
});
