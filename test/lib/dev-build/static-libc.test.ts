// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { readCargoSettings } from '../../../lib/cargo/config-files.ts';
import { whyNoStaticLibc } from '../../../lib/dev-build/static-libc.ts';
import type { Host } from '../../../lib/host.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';

const HOST: Host = { platform: 'linux', arch: 'amd64' };
const MAC: Host = { platform: 'darwin', arch: 'arm64' };

/** Why not, with a linker that does this when it is probed. */
async function reason(script: string, extra: Readonly<Record<string, string>> = {}, host: Host = HOST, linker = 'cc') {
  const tools = fakeTools();
  tools.add(linker, [{ words: ['-print-file-name=libc.a'], script }]);
  const { env, runner } = inProcess(tools, extra);
  const settings = await readCargoSettings(tools.directory, env);
  const found = await whyNoStaticLibc(runner, tools.directory, host, settings);
  return { found, started: tools.lines() };
}

test('a path: it can', async () => {
  expect(await reason('echo /usr/lib/libc.a')).toEqual({
    found: undefined,
    started: ['cc -print-file-name=libc.a'],
  });
});

test('the bare name: it cannot, with the packages that have the file', async () => {
  expect((await reason('echo libc.a')).found).toBe(
    "there is no libc.a (cc prints 'libc.a'); for the quick way install it: " +
      'libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)',
  );
});

test('the linker that cargo is set to is the one that is probed', async () => {
  const env = { CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER: 'clang' };
  expect((await reason('echo /usr/lib/libc.a', env, HOST, 'clang')).found).toBeUndefined();
  expect((await reason('echo "unknown option" >&2; exit 1', env, HOST, 'clang')).found).toMatch(
    /^clang cannot say where libc\.a is \(unknown option\); for the quick way/,
  );
});

test('no compiler at all: it cannot', async () => {
  expect((await reason(':', {}, HOST, 'gcc')).found).toMatch(/^cc cannot say where libc\.a is \(/);
});

test('a Mac: it cannot, and nothing is started', async () => {
  const { found, started } = await reason('exit 1', {}, MAC);
  expect(found).toContain('comes from staging');
  expect(started).toEqual([]);
});

test('a machine that is neither amd64 nor arm64: it cannot, and nothing is started', async () => {
  const { found, started } = await reason('exit 1', {}, { platform: 'linux', arch: undefined });
  expect(found).toBe('this machine is neither amd64 nor arm64');
  expect(started).toEqual([]);
});
