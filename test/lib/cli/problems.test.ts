// SPDX-License-Identifier: Apache-2.0

import { readdirSync } from 'node:fs';
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
  expect(found.attempt(() => 1)).toBe(1);
  expect(await found.attemptAsync(async () => 'x')).toBe('x');
  expect(end()).toBeUndefined();
  expect(screen.stderr()).toBe('');
});

test('all of them are reported: a line for each, each once, and nothing was started', async () => {
  const { found, screen, end } = problems();
  expect(found.attempt(throwing(usageError('port')))).toBeUndefined();
  expect(await found.attemptAsync(async () => throwing(usageError('name'))())).toBeUndefined();
  expect(found.attempt(throwing(usageError('port')))).toBeUndefined();
  found.attempt(throwing(failure('engine', 125, { cause: new Error('not running') })));
  expect(refusalOf(end)).toBe('2: engine: not running');
  expect(screen.stderr()).toBe('error: port\nerror: name\n');
});

test('an error of the machine is one of them', () => {
  const { found, screen, end } = problems();
  found.attempt(() => readdirSync('/proc/self/exe'));
  found.attempt(throwing(usageError('port')));
  expect(refusalOf(end)).toBe('2: port');
  expect(screen.stderr()).toMatch(/^error: \/proc\/self\/exe: .* \(ENOTDIR\)\n$/);
});

describe('F19: a wrong value is not used, and nothing takes its place', () => {
  interface Values {
    readonly port: number;
    readonly host: string;
    readonly endpoint: string;
  }

  const read = (found: Problems, port: () => number, reads: string[] = []) =>
    found.values<Values>({
      endpoint: (values) => `${values.host}:${values.port}`,
      port: () => {
        reads.push('port');
        return port();
      },
      host: () => 'here',
    });

  test('values may be made of others, whatever their order; each is read once', () => {
    const { found, end } = problems();
    const reads: string[] = [];
    const values = read(found, () => 80, reads);
    expect({ ...values }).toEqual({ endpoint: 'here:80', port: 80, host: 'here' });
    expect(reads).toEqual(['port']);
    expect(end()).toBeUndefined();
  });

  test('what depends on it is not tried and is no second problem; what does not is', async () => {
    const { found, screen, end } = problems();
    const values = read(found, throwing(usageError('port is abc')));
    expect(values.host).toBe('here');
    const tried: string[] = [];
    const attempts = [
      () => tried.push(`port ${values.port}`),
      () => tried.push(`endpoint ${values.endpoint}`),
      () => tried.push(`host ${values.host}`),
    ];
    for (const attempt of attempts) found.attempt(attempt);
    await found.attemptAsync(async () => tried.push(values.endpoint));
    found.attempt(throwing(usageError('name')));
    expect(tried).toEqual(['host here']);
    expect(refusalOf(end)).toBe('2: name');
    expect(screen.stderr()).toBe('error: port is abc\n');
  });
});

describe('F19: a program that has ended with the status of a signal is a problem like any other', () => {
  test.each([130, 137, 143, 255])('%i', async (status) => {
    const { found, screen, end } = problems();
    const child = commandFailed(cmd({ cwd: '/c' })`cargo metadata`, {
      status,
      signal: undefined,
      stdout: '',
      stderr: '',
      timedOut: false,
    });
    found.attempt(throwing(usageError('port')));
    found.attempt(throwing(child));
    await found.attemptAsync(async () => throwing(child)());
    expect(refusalOf(end)).toBe(`2: cargo metadata failed with status ${status} in /c`);
    expect(screen.stderr()).toBe('error: port\n');
  });
});

describe('what is not a problem of the settings ends the task at once', () => {
  test.each([
    ['a signal', new InterruptedError('SIGINT')],
    ['a bug', new TypeError('x is undefined')],
  ])('%s', async (_, error) => {
    const { found, end } = problems();
    expect(() => found.attempt(throwing(error))).toThrow(error);
    expect(() => found.values({ value: throwing(error) })).toThrow(error);
    await expect(found.attemptAsync(async () => throwing(error)())).rejects.toBe(error);
    expect(end()).toBeUndefined();
  });
});
