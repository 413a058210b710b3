// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { Problems } from '../../../lib/cli/problems.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { failure, InterruptedError, usageError } from '../../../lib/errors.ts';
import { cmd } from '../../../lib/process/command.ts';
import { commandFailed } from '../../../lib/process/result.ts';
import { screen } from '../../support/in-process.ts';
import { refusalOf } from '../../support/task-errors.ts';

function problems() {
  const shown = screen();
  const found = new Problems();
  return { found, screen: shown, end: () => found.throwIfAny(new Terminal(shown.out, shown.err, {})) };
}

const throwing = (error: unknown) => () => {
  throw error;
};

test('without a problem the values are those of the bodies, and the task goes on', async () => {
  const { found, screen, end } = problems();
  expect(found.attempt(() => 1, 2)).toBe(1);
  expect(await found.attemptAsync(async () => 'x')).toBe('x');
  expect(found.isEmpty).toBe(true);
  expect(end()).toBeUndefined();
  expect(screen.stderr()).toBe('');
});

test('all of them are reported: a line for each, each once, and the last one ends the task', async () => {
  const { found, screen, end } = problems();
  expect(found.attempt(throwing(usageError('port')), 8080)).toBe(8080);
  expect(await found.attemptAsync(async () => throwing(usageError('name'))())).toBeUndefined();
  expect(found.attempt(throwing(usageError('port')), 0)).toBe(0);
  found.attempt(throwing(failure('engine', 125, { cause: new Error('not running') })), undefined);
  expect(found.isEmpty).toBe(false);
  expect(refusalOf(end)).toBe('125: engine: not running');
  expect(screen.stderr()).toBe('error: port\nerror: name\n');
});

describe('a child that has ended with the status of a signal is a problem like any other', () => {
  test.each([130, 137, 143, 255])('%i', async (status) => {
    const { found, screen, end } = problems();
    const child = commandFailed(cmd({ cwd: '/c' })`cargo metadata`, {
      status,
      signal: undefined,
      stdout: '',
      stderr: '',
      timedOut: false,
    });
    found.attempt(throwing(child), undefined);
    await found.attemptAsync(async () => throwing(child)());
    found.attempt(throwing(usageError('port')), undefined);
    expect(refusalOf(end)).toBe('2: port');
    expect(screen.stderr()).toBe(`error: cargo metadata failed with status ${status} in /c\n`);
  });
});

describe('what is not a problem of the settings ends the task at once', () => {
  test.each([
    ['a signal', new InterruptedError('SIGINT')],
    ['a bug', new TypeError('x is undefined')],
    ['an error of the machine', Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'open' })],
  ])('%s', async (_, error) => {
    const { found } = problems();
    expect(() => found.attempt(throwing(error), 1)).toThrow(error);
    await expect(found.attemptAsync(async () => throwing(error)())).rejects.toBe(error);
    expect(found.isEmpty).toBe(true);
  });
});
