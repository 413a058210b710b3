// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import type { Machine } from '../../../lib/host.ts';
import { Guard, wrapperOf } from '../../../lib/nofile/guard.ts';
import { cmd } from '../../../lib/process/command.ts';
import { screen } from '../../support/in-process.ts';
import { refusalOf } from '../../support/task-errors.ts';

const UNLIMITED = Number.POSITIVE_INFINITY;
const MAC: Machine = {
  platform: 'darwin',
  limits: { soft: 256, hard: 4096 },
  shellLimit: undefined,
  canReplace: true,
  invoker: undefined,
};
const ZIGBUILD = cmd({ cwd: '/' })`cargo zigbuild`;
const BUILD = cmd({ cwd: '/' })`cargo build`;

describe('the compiler wrapper that cargo takes from an environment', () => {
  test.each([
    [{}, undefined],
    [{ RUSTC_WRAPPER: 'sccache' }, 'sccache'],
    [{ CARGO_BUILD_RUSTC_WRAPPER: 'sccache' }, 'sccache'],
    [{ RUSTC_WRAPPER: 'one', CARGO_BUILD_RUSTC_WRAPPER: 'two' }, 'one'],
    // Set but empty, it switches the other one off.
    [{ RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: 'two' }, undefined],
    [{ RUSTC_WRAPPER: undefined, CARGO_BUILD_RUSTC_WRAPPER: 'two' }, 'two'],
    [{ CARGO_BUILD_RUSTC_WRAPPER: '' }, undefined],
    // A wrapper of ours: the one that it calls is the one that fails.
    [{ RUSTC_WRAPPER: '/x/ours', OPENSHELL_RUSTC_WRAPPER: 'sccache' }, 'sccache'],
    [{ RUSTC_WRAPPER: '/x/ours', OPENSHELL_RUSTC_WRAPPER: '' }, '/x/ours'],
    [{ OPENSHELL_RUSTC_WRAPPER: 'sccache' }, undefined],
  ])('%j: %j', (env, wrapper) => {
    expect(wrapperOf(env)).toBe(wrapper);
  });
});

describe('the decision for a command', () => {
  const guard = new Guard({}, MAC);

  test('it goes by the environment that the command gets', () => {
    expect(guard.plan(BUILD, { PATH: '/nowhere' }).kind).toBe('leave');
    expect(guard.plan(ZIGBUILD, { PATH: '/nowhere' })).toEqual({ kind: 'raise', from: 256, to: 4096, shortOf: 8192 });
    expect(guard.plan(BUILD, { PATH: '/nowhere', RUSTC_WRAPPER: 'sccache' }).kind).toBe('raise');
  });

  test('a machine that cannot carry a build is refused; a wrong variable at once', () => {
    const low = new Guard({}, { ...MAC, limits: { soft: 256, hard: 512 } });
    expect(refusalOf(() => low.plan(ZIGBUILD, {}))).toMatch(/^2: the hard limit of open files is 512, /);
    expect(refusalOf(() => new Guard({ OPENSHELL_BUILD_NOFILE_LIMIT: 'lots' }, MAC))).toMatch(
      /^2: OPENSHELL_BUILD_NOFILE_LIMIT is 'lots'; /,
    );
  });

  test('AL-11: what links nothing is not refused there', () => {
    const low = new Guard({ OPENSHELL_BUILD_NOFILE_GUARD: 'on' }, { ...MAC, limits: { soft: 512, hard: 512 } });
    expect(low.plan(cmd({ cwd: '/' })`openshell sandbox get dev`, {})).toEqual({ kind: 'leave' });
    expect(refusalOf(() => low.plan(BUILD, {}))).toMatch(/^2: the hard limit/);
  });

  test('what is raised is said once in a task, what is left alone never', () => {
    const shown = screen();
    const terminal = new Terminal(shown.out, shown.err, {});
    const one = new Guard({}, MAC);
    expect(one.limitFor(BUILD, {}, terminal)).toBeUndefined();
    expect(shown.stderr()).toBe('');
    expect(one.limitFor(ZIGBUILD, {}, terminal)).toBe(4096);
    expect(one.limitFor(ZIGBUILD, {}, terminal)).toBe(4096);
    expect(shown.stderr()).toBe(
      'open-file limit raised for what this task runs: 256 -> 4096\n' +
        'warning: that is less than the wanted 8192: the hard limit is 4096\n',
    );
  });
});

describe('what outlives the task', () => {
  const limits = (machine: Partial<Machine>, env = {}) => {
    const { serverLimit, userLimit } = new Guard(env, { ...MAC, ...machine });
    return { serverLimit, userLimit };
  };

  test.each<[string, Partial<Machine>, Record<string, string>, { serverLimit: number; userLimit: number }]>([
    [
      'a server of builds gets the wanted limit, a program the one of the shell',
      { shellLimit: 300 },
      {},
      { serverLimit: 4096, userLimit: 300 },
    ],
    [
      'the wanted one, where that of the shell is not known',
      {},
      { OPENSHELL_BUILD_NOFILE_LIMIT: '2000' },
      { serverLimit: 2000, userLimit: 2000 },
    ],
    ['never more than the hard limit', { shellLimit: UNLIMITED }, {}, { serverLimit: 4096, userLimit: 4096 }],
    [
      'a hard limit that is not known is none',
      { shellLimit: UNLIMITED, limits: { soft: undefined, hard: undefined } },
      {},
      { serverLimit: 8192, userLimit: UNLIMITED },
    ],
  ])('%s', (_, machine, env, expected) => {
    expect(limits(machine, env)).toEqual(expected);
  });
});
