// SPDX-License-Identifier: Apache-2.0

/** The verifier of glibc versions as a program: exit statuses, streams, and the faults of the script that it replaces. */

import { expect, test } from 'vitest';
import { runTaskFile } from '../support/run-task.ts';
import { BARE, binaries } from '../support/verifier-binaries.ts';

const verify = (given: string[]) => runTaskFile('verify-glibc-symbols', given, { cwd: binaries(), env: BARE });

test('a binary within the limit', async () => {
  expect(await verify(['2.28', 'old-glibc'])).toMatchObject({
    status: 0,
    stdout: '==> Inspecting old-glibc\nhighest GLIBC symbol: GLIBC_2.28\n',
    stderr: '',
  });
});

test('a static binary needs none', async () => {
  expect((await verify(['2.28', 'static'])).stdout).toContain('highest GLIBC symbol: none');
});

test('a newer one is refused, once for each version', async () => {
  const result = await verify(['2.28', 'new-glibc']);
  expect(result.status).toBe(1);
  expect(result.stderr.match(/GLIBC_2\.34/g)).toHaveLength(1);
  expect((await verify(['2.34', 'new-glibc'])).status).toBe(0);
  expect((await verify(['3.0', 'new-glibc'])).status).toBe(0);
});

test.each(['text', 'empty', 'cut', 'missing'])('C21: %s fails closed', async (name) => {
  expect((await verify(['2.28', name])).status).toBe(1);
});

test.each(['nonsense', '2', '2.28.1', '2,28', 'v2.28', '', ' 2.28'])(
  'C21: the limit %j is wrong usage',
  async (limit) => {
    const result = await verify([limit, 'old-glibc']);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(`'${limit}'`);
  },
);

test('L15: packed relocations need glibc 2.36', async () => {
  expect((await verify(['2.34', 'relr'])).status).toBe(1);
  expect((await verify(['2.36', 'relr'])).status).toBe(0);
});

test('--arch compares the machine as well', async () => {
  expect((await verify(['--arch', 'amd64', '2.28', 'old-glibc'])).status).toBe(0);
  const wrong = await verify(['2.28', 'old-glibc', '--arch=arm64']);
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toMatch(/x86-64.*aarch64/);
});

test('fewer than two arguments are wrong usage', async () => {
  expect(await verify(['2.28'])).toMatchObject({ status: 2, stderr: expect.stringContaining('<binary> is missing') });
});
