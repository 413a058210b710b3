// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { whyNoStaticLibc } from '../../../lib/dev-build/static-libc-probe.ts';
import type { Host } from '../../../lib/host.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';

const REMEDY = 'for static links install it: libc6-dev (Debian, Ubuntu), glibc-static (Fedora, RHEL)';
const LINUX: Host = { platform: 'linux', arch: 'amd64' };

/** Why not, with a compiler that does this when it is probed. */
async function reason(script: string, host: Host = LINUX, compiler = 'cc') {
  const tools = fakeTools();
  tools.add(compiler, [{ args: ['-print-file-name=libc.a'], script }]);
  const { runner } = inProcess(tools);
  return { found: await whyNoStaticLibc(runner, tools.directory, host, { env: {} }), started: tools.lines() };
}

test('a path: it can', async () => {
  expect(await reason('echo /usr/lib/libc.a')).toEqual({
    found: undefined,
    started: ['cc -print-file-name=libc.a'],
  });
});

test('the bare name: it cannot, with the packages that have the file', async () => {
  expect((await reason('echo libc.a')).found).toBe(`there is no libc.a (cc prints 'libc.a'); ${REMEDY}`);
});

test('a compiler that fails: it cannot, with its reason', async () => {
  expect((await reason('echo "unknown option" >&2; exit 1')).found).toMatch(
    /^cc cannot say where libc\.a is \(unknown option\); for static links/,
  );
});

test('no compiler at all: it cannot', async () => {
  expect((await reason(':', LINUX, 'gcc')).found).toMatch(/^cc cannot say where libc\.a is \(/);
});

test('a machine that is neither amd64 nor arm64: it cannot, and nothing is started', async () => {
  const { found, started } = await reason('exit 1', { platform: 'linux', arch: undefined });
  expect(found).toBe('this machine is neither amd64 nor arm64');
  expect(started).toEqual([]);
});
