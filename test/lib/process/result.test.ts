// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { InterruptedError } from '../../../lib/errors.ts';
import { cmd } from '../../../lib/process/command.ts';
import { commandFailed, type Outcome, outcomeTail, probeResult, trimmed } from '../../../lib/process/result.ts';

const RUSTUP = cmd({ cwd: '/checkout', env: { TOKEN: 'hunter2' } })`rustup target add ${'a b'}`;
const outcome = (part: Partial<Outcome>): Outcome => ({
  status: 1,
  signal: undefined,
  stdout: '',
  stderr: '',
  timedOut: false,
  ...part,
});

describe('a command that failed: what, how, where, and its last lines', () => {
  test.each<[Partial<Outcome>, string]>([
    [{ status: 101 }, "rustup target add 'a b' failed with status 101 in /checkout"],
    [{ status: 1, stderr: 'no\nnetwork\n' }, "rustup target add 'a b' failed with status 1 in /checkout: no\\nnetwork"],
    [{ status: 1, stdout: 'said here\n' }, "rustup target add 'a b' failed with status 1 in /checkout: said here"],
    [{ status: 143, signal: 'SIGTERM' }, "rustup target add 'a b' was ended by SIGTERM in /checkout"],
    [{ status: 127 }, "rustup target add 'a b' was not found (rustup) in /checkout"],
  ])('%j', (part, message) => {
    expect(commandFailed(RUSTUP, outcome(part))).toMatchObject({ message, exitCode: part.status, name: 'TaskError' });
  });

  test.each([130, 137, 143, 255])('the status %i of a child is a status, and not a signal to the task', (status) => {
    const error = commandFailed(RUSTUP, outcome({ status }));
    expect(error).not.toBeInstanceOf(InterruptedError);
    expect(error).toMatchObject({ exitCode: status, message: expect.stringContaining(`failed with status ${status}`) });
  });
});

describe('the result of a probe', () => {
  test.each<[Partial<Outcome>, ReturnType<typeof probeResult>]>([
    [
      { status: 0, stdout: ' yes \n\n', stderr: 'warning' },
      { ok: true, output: ' yes ' },
    ],
    [{ status: 0 }, { ok: true, output: '' }],
    [
      { status: 1, stderr: 'denied\n' },
      { ok: false, reason: 'denied', status: 1 },
    ],
    [
      { status: 1, stdout: 'said here\n' },
      { ok: false, reason: 'said here', status: 1 },
    ],
    [{ status: 137 }, { ok: false, reason: 'status 137', status: 137 }],
    [
      { status: 137, signal: 'SIGKILL', stdout: 'half', timedOut: true },
      { ok: false, reason: "no response from rustup target add 'a b' within 0.30 s", timedOut: true },
    ],
  ])('%j', (part, result) => {
    expect(probeResult(RUSTUP, outcome(part), 300)).toEqual(result);
  });
});

describe('last lines', () => {
  test('stderr, else stdout, and only the last lines', () => {
    const many = Array.from({ length: 50 }, (_, n) => `line ${n}`).join('\n');
    expect(outcomeTail(outcome({ stderr: '\n \n', stdout: 'out\n' }))).toBe('out');
    expect(outcomeTail(outcome({ stderr: 'err\n', stdout: 'out\n' }))).toBe('err');
    expect(outcomeTail(outcome({}))).toBe('');
    expect(outcomeTail(outcome({ stderr: `${many}\n\n` })).split('\n')).toEqual(many.split('\n').slice(-20));
  });

  test.each([
    ['a\n', 'a'],
    ['a\n\n\n', 'a'],
    ['\n a \n', '\n a '],
    ['a', 'a'],
    ['\n', ''],
    ['a\r\n', 'a\r'],
  ])('output %j is %j, as $(...) gives it', (output, text) => {
    expect(trimmed(output)).toBe(text);
  });
});
