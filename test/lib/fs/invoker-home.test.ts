// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { withRunner } from '../../../lib/build-env.ts';
import { cmd } from '../../../lib/process/command.ts';
import { bashQuote, type FakeCase } from '../../support/fake-tools.ts';
import { fakeTools, inProcess, MACHINE } from '../../support/in-process.ts';

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
