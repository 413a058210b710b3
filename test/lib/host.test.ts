// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { withRunner } from '../../lib/build-env.ts';
import { archOf, linuxTriple, platformArches, thisHost, thisMachine } from '../../lib/host.ts';
import { cmd } from '../../lib/process/command.ts';
import { ownLimits, shellSoftLimit } from '../../lib/process/identity.ts';
import { bashQuote, type FakeCase } from '../support/fake-tools.ts';
import { fakeTools, inProcess, MACHINE } from '../support/in-process.ts';
import { onlyRoot } from '../support/real-tools.ts';
import { refusalOf } from '../support/task-errors.ts';

describe('architectures as uname, docker, podman and Node call them', () => {
  test.each([
    ['x86_64', 'amd64'],
    ['amd64', 'amd64'],
    ['x64', 'amd64'],
    ['aarch64', 'arm64'],
    ['arm64', 'arm64'],
    ['', undefined],
    ['AMD64', undefined],
    ['riscv64', undefined],
    ['s390x', undefined],
    ['arm', undefined],
    ['386', undefined],
    ['constructor', undefined],
    ['__proto__', undefined],
  ])('%j is %j', (name, arch) => {
    expect(archOf(name)).toBe(arch);
  });

  test('this machine', () => {
    expect(thisHost()).toEqual({ platform: process.platform, arch: archOf(process.arch) });
  });
});

describe('a platform list (faults C9, H7, H9)', () => {
  test.each([
    ['linux/amd64', ['amd64']],
    ['linux/arm64', ['arm64']],
    ['linux/amd64,linux/arm64', ['amd64', 'arm64']],
    ['linux/arm64,linux/amd64', ['arm64', 'amd64']],
    ['linux/amd64, linux/arm64', ['amd64', 'arm64']],
    ['  linux/amd64 ,\tlinux/arm64 ', ['amd64', 'arm64']],
    ['linux/amd64,linux/amd64', ['amd64']],
    ['linux/arm64,linux/amd64,linux/arm64', ['arm64', 'amd64']],
  ])('%j is %j', (text, arches) => {
    expect(platformArches('DOCKER_PLATFORM', text)).toEqual(arches);
  });

  test.each([
    ['linux/386', "'linux/386' is not supported"],
    ['linux/amd64,linux/386', "'linux/386' is not supported"],
    ['linux/386,linux/amd64', "'linux/386' is not supported"],
    ['Linux/AMD64', "'Linux/AMD64' is not supported"],
    ['linux/x86_64', "'linux/x86_64' is not supported"],
    ['linux/arm64/v8', "'linux/arm64/v8' is not supported"],
    ['darwin/arm64', "'darwin/arm64' is not supported"],
    ['amd64', "'amd64' is not supported"],
    ['linux/amd64 linux/arm64', "'linux/amd64 linux/arm64' is not supported"],
    ['linux/amd64;linux/arm64', "'linux/amd64;linux/arm64' is not supported"],
    ['linux/amd64 Cargo.*', "'linux/amd64 Cargo.*' is not supported"],
    ['', 'an entry is empty'],
    ['   ', 'an entry is empty'],
    [',', 'an entry is empty'],
    ['linux/amd64,', 'an entry is empty'],
    [',linux/amd64', 'an entry is empty'],
    ['linux/amd64,,linux/arm64', 'an entry is empty'],
    ['linux/amd64, ,linux/arm64', 'an entry is empty'],
  ])('%j is refused', (text, reason) => {
    expect(refusalOf(() => platformArches('DOCKER_PLATFORM', text))).toBe(
      `2: DOCKER_PLATFORM is '${text}': ${reason}; ` +
        'allowed is a comma list of linux/amd64 and linux/arm64; change it or unset it',
    );
  });
});

test.each([
  ['amd64', 'musl', 'x86_64-unknown-linux-musl'],
  ['amd64', 'gnu', 'x86_64-unknown-linux-gnu'],
  ['arm64', 'musl', 'aarch64-unknown-linux-musl'],
  ['arm64', 'gnu', 'aarch64-unknown-linux-gnu'],
] as const)('the Rust target of %s %s', (arch, libc, triple) => {
  expect(linuxTriple(arch, libc)).toBe(triple);
});

test('the machine that a runner works with: its limits, those of the shell, and whose task this is', () => {
  expect(thisMachine({})).toEqual({
    platform: process.platform,
    limits: ownLimits(),
    shellLimit: shellSoftLimit(),
    canReplace: process.platform !== 'win32',
    invoker: undefined,
  });
});

test('the user who called sudo is read from the environment (only as root)', onlyRoot(), () => {
  const env = { SUDO_USER: 'of-nobody', SUDO_UID: '4242', SUDO_GID: '4243' };
  expect(thisMachine(env).invoker).toMatchObject({ uid: 4242, gid: 4243, user: 'of-nobody' });
});

const INVOKER = { uid: 4242, gid: 4243, user: 'ldap', home: undefined } as const;
const GETENT = ['passwd', '4242'];
const DSCL = ['.', '-read', '/Users/ldap', 'NFSHomeDirectory'];

/** The user that the runner takes commands for, and how often the system was asked. */
async function invokerWith(platform: 'linux' | 'darwin', tool: string, reply: FakeCase | undefined) {
  const tools = fakeTools();
  if (reply !== undefined) tools.add(tool, [reply]);
  const ctx = inProcess(tools);
  const { runner } = await withRunner(ctx, { ...MACHINE, platform, invoker: INVOKER });
  return { runner, lines: tools.lines() };
}

describe('P2: the home of a user whom /etc/passwd does not have', () => {
  test.each([
    ['linux', 'getent', GETENT, 'ldap:*:4242:4243:Of, LDAP:/net/ldap:/bin/bash', '/net/ldap'],
    ['darwin', 'dscl', DSCL, 'NFSHomeDirectory: /Users/of ldap', '/Users/of ldap'],
    ['darwin', 'dscl', DSCL, 'NFSHomeDirectory:\n /Volumes/a b/ldap', '/Volumes/a b/ldap'],
  ] as const)('%s: is what %s says', async (platform, tool, args, output, home) => {
    const { runner, lines } = await invokerWith(platform, tool, { args, script: `echo ${bashQuote(output)}` });
    expect(runner.invoker?.home).toBe(home);
    expect(lines).toEqual([[tool, ...args].join(' ')]);
    const cargo = cmd({ cwd: '/', asInvoker: true })`cargo`;
    expect(runner.environmentOf(cargo)).toMatchObject({ HOME: home, USER: 'ldap' });
  });

  test.each([
    ['linux', 'getent', { args: GETENT, script: 'exit 2' }, /^getent passwd 4242: .*status 2/],
    ['linux', 'getent', { args: GETENT, script: 'echo ldap:x:4242:4243:::/bin/sh' }, /it printed ldap:x:4242/],
    ['linux', 'getent', { args: GETENT, script: 'echo other:x:42:42::/home/other:/bin/sh' }, /it printed other/],
    ['linux', 'getent', undefined, /^getent passwd 4242: .*not found/],
    ['darwin', 'dscl', { args: DSCL, script: 'echo "<dscl_cmd> DS Error: -14136" >&2; exit 56' }, /DS Error: -14136/],
    ['darwin', 'dscl', { args: DSCL, script: 'echo "No such key: NFSHomeDirectory"' }, /it printed No such key/],
  ] as const)('%s: is not guessed where %s does not say it: %j', async (platform, tool, reply, problem) => {
    const { runner } = await invokerWith(platform, tool, reply);
    expect(runner.invoker?.home).toBeUndefined();
    expect(runner.invoker?.homeProblem).toMatch(problem);
    // Cargo and rustup find out by themselves, or say that they cannot.
    expect(runner.environmentOf(cmd({ cwd: '/', asInvoker: true })`cargo`).HOME).toBeUndefined();
  });

  test('is not asked for where it is known, nor without sudo', async () => {
    const tools = fakeTools();
    for (const invoker of [{ ...INVOKER, home: '/home/ldap' }, undefined]) {
      const { runner } = await withRunner(inProcess(tools), { ...MACHINE, invoker });
      expect(runner.invoker).toEqual(invoker);
    }
    expect(tools.lines()).toEqual([]);
  });
});
