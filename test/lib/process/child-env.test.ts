// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { childEnvironment, childUser } from '../../../lib/process/child-env.ts';
import { cmd } from '../../../lib/process/command.ts';

const INVOKER = { uid: 1000, gid: 1001, user: 'dev', home: '/home/dev' };
const TASK = { PATH: '/usr/bin', HOME: '/root', USER: 'root', A: 'task', B: 'task' };

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
    expect(childUser(command, INVOKER)).toEqual({ uid: 1000, gid: 1001 });
  });

  test('the home is that one whatever the tool chain sets, unless the command itself says otherwise', () => {
    const options = { cwd: '/', asInvoker: true, base: { HOME: '/of/mise' } };
    expect(childEnvironment(TASK, cmd(options)`cargo`, INVOKER).HOME).toBe('/home/dev');
    expect(childEnvironment(TASK, cmd({ ...options, env: { HOME: '/own' } })`cargo`, INVOKER).HOME).toBe('/own');
  });

  test('any other command is as it was, and so is each without sudo', () => {
    const plain = cmd({ cwd: '/' })`docker info`;
    expect(childEnvironment(TASK, plain, INVOKER)).toEqual(TASK);
    expect(childUser(plain, INVOKER)).toEqual({});
    const asInvoker = cmd({ cwd: '/', asInvoker: true })`cargo`;
    expect(childEnvironment(TASK, asInvoker, undefined)).toEqual(TASK);
    expect(childUser(asInvoker, undefined)).toEqual({});
  });
});
