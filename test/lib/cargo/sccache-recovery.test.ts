// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  cargoTermEnv,
  isSccache,
  isWrapperFailure,
  WrapperWatch,
  withRecovery,
} from '../../../lib/cargo/sccache-recovery.ts';
import type { Environment } from '../../../lib/cli/env.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { type Command, cmd } from '../../../lib/process/command.ts';
import type { Outcome, ProbeResult } from '../../../lib/process/result.ts';
import { screen } from '../../support/in-process.ts';

const SEEN = [
  'sccache: error: failed to execute compile',
  'sccache: error: Server startup failed: Too many open files (os error 24)',
  'sccache: encountered fatal error',
  'error: sccache: encountered fatal error',
  'error: failed to spawn: Too many open files',
  'Caused by: os error 24',
  '2026-11-26T10:00:00 ERROR Too many open files',
  'thread panicked: Os { code: 24, message: "Too many open files" }',
];
const NOT_SEEN = [
  '',
  'error[E0308]: mismatched types',
  'error: could not compile `sccache` (bin "sccache") due to 1 previous error',
  ' --> src/sccache: error: expected `;`',
  'error: no such file: src/sccache.rs',
  'note: sccache: error: is what it would say',
  'sccache: warning: something',
  'os error 2',
  'os error 240',
  'too many open files',
  'error: linking with `cc` failed: exit status: 1',
];

describe('a line of output', () => {
  test.each(['  sccache: error: Server startup failed', '\tsccache: error: x', '  \u001b[0msccache: error: x'])(
    "R8: %j, as cargo indents it below 'Caused by:', is the wrapper's failure",
    (line) => expect(isWrapperFailure(line)).toBe(true),
  );
  test.each(SEEN)("%j is the wrapper's failure", (line) => {
    expect(isWrapperFailure(line)).toBe(true);
  });
  test.each([
    '12 |     let text = "Too many open files";',
    '   |     ---- os error 24',
    '\u001b[1m\u001b[94m7\u001b[0m \u001b[1m\u001b[94m|\u001b[0m "Too many open files"',
    '12 +     "Too many open files"',
    '3 ~ "os error 24",',
  ])('AM-17: %j, a line of source, is not', (line) => expect(isWrapperFailure(line)).toBe(false));
  test.each(NOT_SEEN)('%j is not', (line) => {
    expect(isWrapperFailure(line)).toBe(false);
  });
});

describe('output in pieces', () => {
  const watched = (...pieces: string[]) => {
    const watch = new WrapperWatch();
    for (const piece of pieces) watch.add(piece);
    return watch.failed;
  };

  test.each<[string[], boolean]>([
    [[], false],
    [['sccache: error: x\n'], true],
    [['sccache: error: x'], true],
    [['sccache: er', 'ror: x\n'], true],
    [['Too many', ' open ', 'files'], true],
    [['Compiling x\rsccache: error: x\r\n'], true],
    [['Compiling x\nsccache: error: x\nlater lines\n', 'and more\n'], true],
    [['\u001b[1m\u001b[31msccache: error: x\u001b[0m\n'], true],
    [['\u001b[1', 'm\u001b[31', 'msccache: error: x\n'], true],
    [['\u001b[Ksccache: error: x\n'], true],
    [['Too many\nopen files\n'], false],
    [['note: ', 'sccache: error: x\n'], false],
    [['\u001b[33mnote: \u001b[0msccache: error: x\n'], false],
    [['   Compiling sccache v0.16.0\n', 'error: file sccache: error:\n'], false],
  ])('%j: %j', (pieces, failed) => {
    expect(watched(...pieces)).toBe(failed);
  });

  test('it does not matter where the pieces are cut', () => {
    const lines = fc.array(fc.constantFrom(...NOT_SEEN, 'Building [==>  ] 3/9\r\u001b[K'), { maxLength: 6 });
    const mark = fc.option(fc.constantFrom(...SEEN), { nil: undefined });
    fc.assert(
      fc.property(lines, mark, lines, fc.array(fc.nat(400), { maxLength: 8 }), (before, seen, after, cuts) => {
        const text = [...before, ...(seen === undefined ? [] : [seen]), ...after].join('\n');
        const places = [0, ...cuts.filter((cut) => cut < text.length).sort((a, b) => a - b), text.length];
        const pieces = places.map((place, index) => text.slice(place, places[index + 1] ?? place));
        expect(watched(...pieces)).toBe(seen !== undefined);
      }),
    );
  });
});

test.each([
  ['sccache', true],
  ['/usr/local/bin/sccache', true],
  ['C/sccache.exe', true],
  ['./sccache', true],
  ['ccache', false],
  ['sccache-dist', false],
  ['/opt/sccache/wrapper', false],
  ['', false],
])('%j is sccache: %j', (wrapper, is) => {
  expect(isSccache(wrapper)).toBe(is);
});

/** What one start of the command prints and how it ends. */
interface Script {
  readonly status: number;
  readonly says?: string;
}
const OK: Script = { status: 0 };
const WRAPPER: Script = { status: 101, says: 'sccache: error: failed to execute compile\n' };
const COMPILER: Script = { status: 101, says: 'error[E0308]: mismatched types\n' };

/** Runs the recovery over scripted starts; gives the outcome and what was done, in order. */
async function recover(
  scripts: readonly Script[],
  options: { wrapper?: string | undefined; server?: Readonly<Record<string, ProbeResult>>; env?: Command['env'] } = {},
) {
  const wrapper = 'wrapper' in options ? options.wrapper : 'sccache';
  const steps: string[] = [];
  const started: Command[] = [];
  const outcome = await withRecovery(cmd({ cwd: '/c', env: options.env ?? {} })`cargo build`, {
    wrapperOf: (value) => ('RUSTC_WRAPPER' in value.env ? value.env.RUSTC_WRAPPER || undefined : wrapper),
    start: async (value, watch): Promise<Outcome> => {
      const script = scripts[started.length];
      if (script === undefined) throw new Error('one start too many');
      started.push(value);
      steps.push(`start${watch === undefined ? ', not watched' : ''}`);
      watch?.add(script.says ?? '');
      return { status: script.status, signal: undefined, stdout: String(started.length), stderr: '', timedOut: false };
    },
    serverLimit: 8192,
    callServer: async ({ argv, cwd }) => {
      steps.push(`${argv.join(' ')} in ${cwd}`);
      return options.server?.[argv[1] ?? ''] ?? { ok: true, output: '' };
    },
    warn: (text) => steps.push(text),
  });
  return { outcome, steps, envs: started.map(({ env }) => env) };
}

describe('the attempts, in their order', () => {
  const RESTART = [
    'sccache failed, not the build; restarting its server under 8192 open files',
    'sccache --stop-server in /c',
    'sccache --start-server in /c',
  ];
  const WITHOUT = 'sccache failed, not the build; trying again without it';

  test('a run that works is run once', async () => {
    const { outcome, steps } = await recover([OK]);
    expect(outcome.status).toBe(0);
    expect(steps).toEqual(['start']);
  });

  test('a mark in a run that works means nothing', async () => {
    expect((await recover([{ ...WRAPPER, status: 0 }])).steps).toEqual(['start']);
  });

  test("the compiler's own failure is final", async () => {
    const { outcome, steps } = await recover([COMPILER]);
    expect(outcome.status).toBe(101);
    expect(steps).toEqual(['start']);
  });

  test('without a wrapper nothing is watched and nothing is tried again', async () => {
    const { outcome, steps } = await recover([WRAPPER], { wrapper: undefined });
    expect(outcome.status).toBe(101);
    expect(steps).toEqual(['start, not watched']);
  });

  test('R8: a restarted server is tried once, and cargo asks the compiler anew', async () => {
    const { outcome, steps, envs } = await recover([WRAPPER, OK], { env: { A: '1' } });
    expect(outcome).toMatchObject({ status: 0, stdout: '2' });
    expect(steps).toEqual(['start', ...RESTART, 'start']);
    expect(envs).toEqual([{ A: '1' }, { A: '1', CARGO_CACHE_RUSTC_INFO: '0' }]);
  });

  test("the compiler's failure after a restart is final", async () => {
    expect((await recover([WRAPPER, COMPILER])).steps).toEqual(['start', ...RESTART, 'start']);
  });

  test('a second failure of the wrapper falls back to none', async () => {
    const { outcome, steps, envs } = await recover([WRAPPER, WRAPPER, OK], { env: { A: '1' } });
    expect(outcome).toMatchObject({ status: 0, stdout: '3' });
    expect(steps).toEqual(['start', ...RESTART, 'start', WITHOUT, 'start, not watched']);
    expect(envs[2]).toStrictEqual({ A: '1', RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined });
  });

  test('the last attempt is the last, whatever it says', async () => {
    const { outcome, steps } = await recover([WRAPPER, WRAPPER, WRAPPER]);
    expect(outcome).toMatchObject({ status: 101, stdout: '3' });
    expect(steps).toHaveLength(7);
  });

  test('a server that cannot be restarted: straight to none', async () => {
    const server = {
      '--stop-server': { ok: false, reason: 'not running' },
      '--start-server': { ok: false, reason: 'address\nin use' },
    } as const;
    const { steps, envs } = await recover([WRAPPER, OK], { server });
    const reasons = 'the sccache server could not be restarted: address\\nin use';
    expect(steps).toEqual(['start', ...RESTART, reasons, WITHOUT, 'start, not watched']);
    expect(envs[1]).toStrictEqual({ RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined });
  });

  test('one that cannot be stopped may start all the same', async () => {
    const server = { '--stop-server': { ok: false, reason: 'not running' } } as const;
    expect((await recover([WRAPPER, OK], { server })).steps).toEqual(['start', ...RESTART, 'start']);
  });

  test('a wrapper that is not sccache has no server to restart: straight to none', async () => {
    const { steps } = await recover([WRAPPER, OK], { wrapper: '/opt/my-wrapper' });
    expect(steps).toEqual([
      'start',
      '/opt/my-wrapper failed, not the build; trying again without it',
      'start, not watched',
    ]);
  });

  test('and that one is the last, whatever it prints', async () => {
    const { outcome, steps } = await recover([WRAPPER, WRAPPER], { wrapper: '/opt/my-wrapper' });
    expect(outcome).toMatchObject({ status: 101, stdout: '2' });
    expect(steps).toHaveLength(3);
  });
});

const on = (isTTY: boolean, env: Environment = {}, columns?: number) => {
  const shown = screen(isTTY, columns);
  return cargoTermEnv(new Terminal(shown.out, shown.err, env), env);
};

test('without a terminal nothing is set: cargo sees a pipe, as it would by itself', () => {
  expect(on(false, { CARGO_TERM_COLOR: 'always' })).toEqual({});
});

describe('with a terminal cargo writes as it would to it', () => {
  test('progress as wide as the terminal, and colour', () => {
    expect(on(true, { TERM: 'xterm' }, 120)).toEqual({
      CARGO_TERM_COLOR: 'always',
      CARGO_TERM_PROGRESS_WHEN: 'always',
      CARGO_TERM_PROGRESS_WIDTH: '120',
    });
    expect(on(true).CARGO_TERM_PROGRESS_WIDTH).toBe('80');
  });

  test.each([{ NO_COLOR: '1' }, { TERM: 'dumb' }])('no colour with %j', (env) => {
    expect(on(true, env).CARGO_TERM_COLOR).toBe('never');
  });

  test('what the user has set stays, and empty is unset', () => {
    const set = { CARGO_TERM_COLOR: 'never', CARGO_TERM_PROGRESS_WHEN: 'auto', CARGO_TERM_PROGRESS_WIDTH: '40' };
    expect(on(true, set, 120)).toEqual(set);
    expect(on(true, { CARGO_TERM_COLOR: '' }).CARGO_TERM_COLOR).toBe('always');
  });
});
