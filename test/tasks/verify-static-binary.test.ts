// SPDX-License-Identifier: Apache-2.0

/** The verifiers as programs: exit statuses, streams, and the faults of the scripts that they replace. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildElf, DYNAMIC_RECIPE } from '../support/elf-builder.ts';
import { runTaskFile } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Nothing on PATH: the verifiers need no binutils (X8), on Linux or on a Mac. */
const BARE = { PATH: '/nowhere/at/all:/bin', HOME: '/' };

/** A directory with one binary of each kind. */
function binaries(): string {
  const directory = temporaryDirectory();
  const write = (name: string, bytes: Uint8Array) => writeFileSync(join(directory, name), bytes, { mode: 0o755 });
  write('static', buildElf({}).bytes);
  write('static-arm64', buildElf({ machine: 183 }).bytes);
  write('dynamic', buildElf(DYNAMIC_RECIPE).bytes);
  write(
    'old-glibc',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_2.28'] }] }).bytes,
  );
  write(
    'new-glibc',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.34', 'GLIBC_2.28'] }] }).bytes,
  );
  write(
    'relr',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_ABI_DT_RELR'] }] })
      .bytes,
  );
  write('text', Buffer.from('#!/bin/sh\nexit 0\n'));
  write('empty', Buffer.alloc(0));
  write('cut', readFileSync(process.execPath).subarray(0, 3000));
  write('-dash', buildElf({}).bytes);
  return directory;
}

describe('verify-static-binary', () => {
  const verify = (args: string[], cwd = binaries()) => runTaskFile('verify-static-binary', args, { cwd, env: BARE });

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
      expect(result.stderr).toMatch(/^error: [^\n]+\n(error: [^\n]+\n)*error: 1 of 1 binaries failed the check\n$/);
      expect(result.stderr).not.toContain('bug');
    },
  );

  test('every file is looked at, and one failure fails', async () => {
    const result = await verify(['text', 'static', 'dynamic']);
    expect(result.status).toBe(1);
    expect(result.stdout.match(/==> Inspecting/g)).toHaveLength(3);
    expect(result.stdout).toContain('statically linked');
    expect(result.stderr).toContain('2 of 3 binaries failed');
  });

  test('C20: --arch compares the machine', async () => {
    expect((await verify(['--arch', 'arm64', 'static-arm64'])).status).toBe(0);
    const wrong = await verify(['--arch=arm64', 'static']);
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toMatch(/x86-64.*aarch64/);
  });

  test('a name that begins with a dash follows --', async () => {
    expect((await verify(['--', '-dash'])).status).toBe(0);
    expect(await verify(['-dash'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("unknown option '-dash'"),
    });
  });

  test.each([[[]], [['--arch', 'sparc', 'static']], [['--max', '1']]])('%j is wrong usage, status 2', async (args) => {
    const result = await verify(args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: [^\n]+ see tasks\/verify-static-binary\.ts --help\n$/);
  });
});

describe('verify-glibc-symbols', () => {
  const verify = (args: string[], cwd = binaries()) => runTaskFile('verify-glibc-symbols', args, { cwd, env: BARE });

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

  test('fewer than two arguments are wrong usage', async () => {
    expect(await verify(['2.28'])).toMatchObject({ status: 2, stderr: expect.stringContaining('<binary> is missing') });
  });
});

test('relative names are relative to where the task was started, and need no checkout', async () => {
  const directory = binaries();
  mkdirSync(join(directory, 'deep'));
  copyFileSync(join(directory, 'static'), join(directory, 'deep/it is here'));
  const result = await runTaskFile('verify-static-binary', ['../deep/it is here'], {
    cwd: join(directory, 'deep'),
    env: BARE,
  });
  expect(result.status).toBe(0);
});
