// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { TaskError } from '../../../lib/errors.ts';
import type { Machine } from '../../../lib/host.ts';
import {
  Guard,
  limitPrefix,
  type NofileFacts,
  nofileRequest,
  planNofile,
  wrapperOf,
} from '../../../lib/nofile/guard.ts';
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

const SOFT = [256, 1024, 8192, UNLIMITED];
const HARD = [256, 512, 1024, 8192, UNLIMITED];
/** What the variables hold, and what is wanted then; an error where the text is not a limit. */
const DESIRED: readonly [label: string, env: Record<string, string>, wanted: number | 'error'][] = [
  ['absent', {}, 8192],
  ['legacy', { OPENSHELL_VM_BUILD_NOFILE_LIMIT: '4096' }, 4096],
  ['both', { OPENSHELL_BUILD_NOFILE_LIMIT: '2048', OPENSHELL_VM_BUILD_NOFILE_LIMIT: '4096' }, 2048],
  ['512', { OPENSHELL_BUILD_NOFILE_LIMIT: '512' }, 512],
  ['lots', { OPENSHELL_BUILD_NOFILE_LIMIT: 'lots' }, 'error'],
  ['empty', { OPENSHELL_BUILD_NOFILE_LIMIT: '' }, 8192],
  ['0', { OPENSHELL_BUILD_NOFILE_LIMIT: '0' }, 'error'],
  ['-1', { OPENSHELL_BUILD_NOFILE_LIMIT: '-1' }, 'error'],
  ['1e4', { OPENSHELL_BUILD_NOFILE_LIMIT: '1e4' }, 'error'],
  ['legacy lots', { OPENSHELL_VM_BUILD_NOFILE_LIMIT: 'lots' }, 'error'],
];

const rows = ['darwin', 'linux'].flatMap((platform) =>
  [true, false].flatMap((zigbuild) =>
    [true, false].flatMap((wrapper) =>
      SOFT.flatMap((soft) => HARD.map((hard) => ({ platform, zigbuild, wrapper, soft, hard }))),
    ),
  ),
) as (NofileFacts & { soft: number; hard: number })[];

describe('the whole table', () => {
  for (const [label, env, wanted] of DESIRED) {
    if (wanted === 'error') {
      test(`X7: desired ${label}: refused by name, on every platform`, () => {
        const name = Object.keys(env)[0] ?? '';
        const value = env[name] ?? '';
        expect(() => nofileRequest(env)).toThrow(`${name} is '${value}'; allowed is a whole number of at least 1`);
        expect(() => nofileRequest({ ...env, OPENSHELL_BUILD_NOFILE_GUARD: 'off' })).toThrow(name);
      });
      continue;
    }
    test.each(['auto', 'on', 'off'] as const)(`desired ${label}, guard %s: ${rows.length} machines`, (mode) => {
      const request = nofileRequest({ ...env, OPENSHELL_BUILD_NOFILE_GUARD: mode });
      expect(request).toMatchObject({ mode, wanted });
      for (const facts of rows) {
        // Spelled out a second time, in the words of the design, as a cross-check.
        const guarded =
          mode === 'on' || (mode === 'auto' && facts.platform === 'darwin' && (facts.zigbuild || facts.wrapper));
        const to = Math.min(wanted, facts.hard);
        const plan = planNofile(request, facts);
        const context = JSON.stringify({ ...facts, soft: String(facts.soft), hard: String(facts.hard), plan });
        if (!guarded || facts.soft >= wanted) expect(plan.kind, context).toBe('leave');
        else if (to < 1024) expect(plan.kind, context).toBe('refuse');
        else if (to === facts.soft) expect(plan.kind, context).toBe('leave');
        else
          expect(plan, context).toEqual({
            kind: 'raise',
            from: facts.soft,
            to,
            shortOf: to < wanted ? wanted : undefined,
          });
        // Never lowered, never over the hard limit.
        if (plan.kind === 'raise') expect(plan.to > facts.soft && plan.to <= facts.hard, context).toBe(true);
      }
    });
  }
});

describe('single rows', () => {
  const stockMac: NofileFacts = { platform: 'darwin', zigbuild: true, wrapper: false, soft: 256, hard: UNLIMITED };
  const auto = nofileRequest({});

  test('SHL-5: a stock Mac with cargo-zigbuild, on any machine: 256 becomes 8192', () => {
    expect(planNofile(auto, stockMac)).toEqual({ kind: 'raise', from: 256, to: 8192, shortOf: undefined });
  });

  test('a Mac without cargo-zigbuild but with sccache is guarded too', () => {
    expect(planNofile(auto, { ...stockMac, zigbuild: false, wrapper: true }).kind).toBe('raise');
    expect(planNofile(auto, { ...stockMac, zigbuild: false }).kind).toBe('leave');
  });

  test('Linux is left alone unless the guard is on', () => {
    expect(planNofile(auto, { ...stockMac, platform: 'linux', wrapper: true }).kind).toBe('leave');
    const on = nofileRequest({ OPENSHELL_BUILD_NOFILE_GUARD: 'on' });
    expect(planNofile(on, { ...stockMac, platform: 'linux', zigbuild: false }).kind).toBe('raise');
  });

  test('soft at what is wanted: nothing, even under 1024', () => {
    const low = nofileRequest({ OPENSHELL_BUILD_NOFILE_LIMIT: '512' });
    expect(planNofile(low, { ...stockMac, soft: 512 }).kind).toBe('leave');
  });

  test('a limit that cannot be read is left alone', () => {
    expect(planNofile(auto, { ...stockMac, soft: undefined, hard: undefined }).kind).toBe('leave');
  });

  test('raised to the hard limit where that is less than wanted, and it says so', () => {
    expect(planNofile(auto, { ...stockMac, hard: 4096 })).toEqual({
      kind: 'raise',
      from: 256,
      to: 4096,
      shortOf: 8192,
    });
  });

  test('a hard limit under 1024 is refused with the command that fixes it', () => {
    const mac = planNofile(auto, { ...stockMac, hard: 512 });
    expect(mac).toEqual({
      kind: 'refuse',
      message:
        'the hard limit of open files is 512, but a static link needs 1024 or more; ' +
        'run: sudo launchctl limit maxfiles 8192 unlimited (then open a new terminal)',
    });
    const on = nofileRequest({ OPENSHELL_BUILD_NOFILE_GUARD: 'on' });
    const linux = planNofile(on, { ...stockMac, platform: 'linux', hard: 512 });
    expect(linux).toMatchObject({ kind: 'refuse', message: expect.stringContaining('prlimit --pid $$ --nofile=8192') });
  });

  test('a wanted limit under 1024 is refused by the name of its variable', () => {
    const low = nofileRequest({ OPENSHELL_VM_BUILD_NOFILE_LIMIT: '512' });
    expect(planNofile(low, stockMac)).toMatchObject({
      kind: 'refuse',
      message: expect.stringMatching(
        /^OPENSHELL_VM_BUILD_NOFILE_LIMIT is '512', but .*export OPENSHELL_VM_BUILD_NOFILE_LIMIT=8192$/,
      ),
    });
  });

  test.each([
    ['auto', 'auto'],
    ['AUTO', 'auto'],
    ['', 'auto'],
    ['on', 'on'],
    ['1', 'on'],
    ['Yes', 'on'],
    ['off', 'off'],
    ['FALSE', 'off'],
    ['0', 'off'],
  ])('guard %j means %s: the boolean dialect of the suite, and auto', (text, mode) => {
    expect(nofileRequest({ OPENSHELL_BUILD_NOFILE_GUARD: text }).mode).toBe(mode);
  });

  test('an unknown guard mode is an error of usage that lists the modes', () => {
    let error: unknown;
    try {
      nofileRequest({ OPENSHELL_BUILD_NOFILE_GUARD: 'maybe' });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining('allowed are auto, 1/true/yes/on, 0/false/no/off'),
    });
  });
});

test('the prefix sets the soft limit only (X6: plain ulimit -n lowers the hard limit for good)', () => {
  expect(limitPrefix(8192)).toBe('ulimit -S -n 8192;');
  expect(limitPrefix(UNLIMITED)).toBe('ulimit -S -n unlimited;');
  expect(limitPrefix(undefined)).toBe('');
});
