// SPDX-License-Identifier: Apache-2.0
import { chownSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { childEnvironment, childUser } from '../../../lib/process/child-env.ts';
import { cmd } from '../../../lib/process/command.ts';
import { fakeTools } from '../../support/in-process.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const INVOKER = { uid: 1000, gid: 1001, user: 'dev', home: '/home/dev' };
const TASK = { PATH: '/none', HOME: '/root', USER: 'root', A: 'task', B: 'task' };

/** The process stays this user's. */
const NOBODY = { lead: [], ids: {} };

describe('what a child gets', () => {
  test("the task's environment, over it what comes with the tool chain, over that what the command sets", () => {
    const command = cmd({
      cwd: '/',
      base: { PATH: '/mise/bin:/usr/bin', A: 'base', C: 'base', D: 'base' },
      env: { B: 'own', C: 'own', D: undefined },
    })`tool`;
    expect(childEnvironment(TASK, command, undefined)).toEqual({
      PATH: '/mise/bin:/usr/bin',
      HOME: '/root',
      USER: 'root',
      A: 'base',
      B: 'own',
      C: 'own',
      D: undefined,
    });
  });

  test('an empty value is a value', () => {
    const command = cmd({ cwd: '/', base: { A: 'base' }, env: { A: '' } })`tool`;
    expect(childEnvironment(TASK, command, undefined).A).toBe('');
  });
});

describe('under sudo', () => {
  test('a command that needs no privilege is of the user who called it, with that home', () => {
    const command = cmd({ cwd: '/', asInvoker: true })`cargo build`;
    expect(childEnvironment(TASK, command, INVOKER)).toEqual({ ...TASK, HOME: '/home/dev', USER: 'dev' });
    expect(childUser(command, TASK, INVOKER).ids).toEqual({ uid: 1000, gid: 1001 });
  });

  test('the home is that one whatever the tool chain sets, unless the command itself says otherwise', () => {
    const options = { cwd: '/', asInvoker: true, base: { HOME: '/of/mise' } };
    expect(childEnvironment(TASK, cmd(options)`cargo`, INVOKER).HOME).toBe('/home/dev');
    expect(childEnvironment(TASK, cmd({ ...options, env: { HOME: '/own' } })`cargo`, INVOKER).HOME).toBe('/own');
  });

  test('any other command is as it was, and so is each without sudo', () => {
    const plain = cmd({ cwd: '/' })`docker info`;
    expect(childEnvironment(TASK, plain, INVOKER)).toEqual(TASK);
    expect(childUser(plain, TASK, INVOKER)).toEqual(NOBODY);
    const asInvoker = cmd({ cwd: '/', asInvoker: true })`cargo`;
    expect(childEnvironment(TASK, asInvoker, undefined)).toEqual(TASK);
    expect(childUser(asInvoker, TASK, undefined)).toEqual(NOBODY);
  });

  test.runIf(process.geteuid?.() === 0)('AM-10: the groups come with setpriv, where the system knows the user', () => {
    const tools = fakeTools().addSilent('setpriv', 'busybox');
    const command = cmd({ cwd: '/', asInvoker: true })`cargo`;
    const before = process.getgroups?.();
    const { lead, ids } = childUser(command, tools.env(), { ...INVOKER, uid: 1, gid: 1 });
    expect([lead.slice(0, 3), ids]).toEqual([[join(tools.bin, 'setpriv'), '--reuid=1', '--regid=1'], {}]);
    expect(lead.slice(3)).toEqual([expect.stringMatching(/^--groups=([1-9][0-9]*,)*1(,[1-9][0-9]*)*$/), '--']);
    expect(process.getgroups?.()).toEqual(before);
    const byIds = { lead: [], ids: { uid: 987_654, gid: 1001 } };
    expect(childUser(command, tools.env(), { ...INVOKER, uid: 987_654 })).toEqual(byIds);
    rmSync(join(tools.bin, 'setpriv'));
    symlinkSync('busybox', join(tools.bin, 'setpriv'));
    expect(childUser(command, tools.env(), { ...INVOKER, uid: 1, gid: 1 })).toEqual({
      lead: [],
      ids: { uid: 1, gid: 1 },
    });
  });

  test.runIf(process.geteuid?.() === 0)('AM-11: in a checkout of root’s root builds, unless that is elsewhere', () => {
    const [ofRoot, ofUser] = [temporaryDirectory(), temporaryDirectory()];
    chownSync(ofUser, 1000, 1001);
    const user = { lead: [], ids: { uid: 1000, gid: 1001 } };
    const own = cmd({ cwd: ofRoot, asInvoker: true })`cargo build`;
    expect(childUser(own, TASK, INVOKER)).toEqual(NOBODY);
    expect(childEnvironment(TASK, own, INVOKER)).toEqual(TASK);
    expect(childUser(own, { ...TASK, CARGO_TARGET_DIR: join(ofUser, 'new') }, INVOKER)).toEqual(user);
    expect(childUser({ ...own, cwd: ofUser }, TASK, INVOKER)).toEqual(user);
    symlinkSync(ofUser, join(ofRoot, 'target'));
    expect(childUser(own, TASK, INVOKER)).toEqual(user);
  });
});
