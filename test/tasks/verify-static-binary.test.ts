// SPDX-License-Identifier: Apache-2.0

/** The verifier of static binaries as a program: exit statuses, streams, and the faults of the script that it replaces. */

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runTaskFile } from '../support/run-task.ts';
import { BARE, binaries } from '../support/verifier-binaries.ts';

const verify = (given: string[], cwd = binaries()) => runTaskFile('verify-static-binary', given, { cwd, env: BARE });

test('a static binary', async () => {
  expect(await verify(['static'])).toEqual({
    status: 0,
    signal: null,
    stdout: '==> Inspecting static\nstatically linked: no PT_INTERP, no DT_NEEDED\n',
    stderr: '',
  });
});

test.each(['dynamic', 'text', 'empty', 'cut', 'missing', '.'])(
  '%s is refused, status 1, with a reason that names it',
  async (name) => {
    const result = await verify([name]);
    expect(result.status).toBe(1);
    expect(result.stdout).toBe(`==> Inspecting ${name}\n`);
    expect(result.stderr).toMatch(/^error: [^\n]+\n(error: [^\n]+\n)*error: 1 of 1 files failed the check\n$/);
    expect(result.stderr).not.toContain('bug');
  },
);

test('every file is looked at, and one failure fails', async () => {
  const result = await verify(['text', 'static', 'dynamic']);
  expect(result.status).toBe(1);
  expect(result.stdout.match(/==> Inspecting/g)).toHaveLength(3);
  expect(result.stdout).toContain('statically linked');
  expect(result.stderr).toContain('2 of 3 files failed');
});

test('C20: --arch compares the machine', async () => {
  expect((await verify(['--arch', 'arm64', 'static-arm64'])).status).toBe(0);
  const wrong = await verify(['--arch=arm64', 'static']);
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toMatch(/x86-64.*aarch64/);
});

test('a name that begins with a dash stands after --', async () => {
  expect((await verify(['--', '-dash'])).status).toBe(0);
  expect(await verify(['-dash'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("unknown option '-dash'"),
  });
});

test.each([[[]], [['--arch', 'sparc', 'static']], [['--max', '1']]])('%j is wrong usage, status 2', async (given) => {
  const result = await verify(given);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/^error: [^\n]+ see tasks\/verify-static-binary\.ts --help\n$/);
});

test('relative names are relative to where the task was started, and need no checkout', async () => {
  const directory = binaries();
  mkdirSync(join(directory, 'deep'));
  copyFileSync(join(directory, 'static'), join(directory, 'deep/it is here'));
  const result = await verify(['../deep/it is here'], join(directory, 'deep'));
  expect(result.status).toBe(0);
});
