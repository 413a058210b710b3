// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isSccache,
  isWrapperFailure,
  restartServer,
  WrapperWatch,
  withRecovery,
} from '../../../lib/cargo/sccache-recovery.ts';
import { type Command, cmd } from '../../../lib/process/command.ts';
import type { Outcome, ProbeResult } from '../../../lib/process/result.ts';

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
  options: { wrapper?: string | undefined; restarts?: boolean; env?: Command['env'] } = {},
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
    restartServer: async (name, like) => {
      steps.push(`restart ${name} like ${like.argv.join(' ')}`);
      return options.restarts ?? true;
    },
    warn: (text) => steps.push(text),
  });
  return { outcome, steps, envs: started.map(({ env }) => env) };
}

describe('the attempts, in their order', () => {
  const RESTART = 'restart sccache like cargo build';
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
    expect(steps).toEqual(['start', RESTART, 'start']);
    expect(envs).toEqual([{ A: '1' }, { A: '1', CARGO_CACHE_RUSTC_INFO: '0' }]);
  });

  test("the compiler's failure after a restart is final", async () => {
    expect((await recover([WRAPPER, COMPILER])).steps).toEqual(['start', RESTART, 'start']);
  });

  test('a second failure of the wrapper falls back to none', async () => {
    const { outcome, steps, envs } = await recover([WRAPPER, WRAPPER, OK], { env: { A: '1' } });
    expect(outcome).toMatchObject({ status: 0, stdout: '3' });
    expect(steps).toEqual(['start', RESTART, 'start', WITHOUT, 'start, not watched']);
    expect(envs[2]).toStrictEqual({ A: '1', RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined });
  });

  test('the last attempt is the last, whatever it says', async () => {
    const { outcome, steps } = await recover([WRAPPER, WRAPPER, WRAPPER]);
    expect(outcome).toMatchObject({ status: 101, stdout: '3' });
    expect(steps).toHaveLength(5);
  });

  test('a server that cannot be restarted: straight to none', async () => {
    const { steps, envs } = await recover([WRAPPER, OK], { restarts: false });
    expect(steps).toEqual(['start', RESTART, WITHOUT, 'start, not watched']);
    expect(envs[1]).toStrictEqual({ RUSTC_WRAPPER: '', CARGO_BUILD_RUSTC_WRAPPER: undefined });
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

describe('restarting the server', () => {
  async function restart(results: Readonly<Record<string, ProbeResult>>) {
    const said: string[] = [];
    const calls: string[] = [];
    const call = async (flag: string): Promise<ProbeResult> => {
      calls.push(flag);
      return results[flag] ?? { ok: true, output: '' };
    };
    const runs = await restartServer('/opt/sccache', 8192, call, (text) => said.push(text));
    return { runs, said, calls };
  }
  const RESTARTING = '/opt/sccache failed, not the build; restarting its server under 8192 open files';

  test('it is stopped, started, and the limit is said', async () => {
    expect(await restart({})).toEqual({
      runs: true,
      said: [RESTARTING],
      calls: ['--stop-server', '--start-server'],
    });
  });

  test('one that cannot be stopped may start all the same', async () => {
    const stop = { '--stop-server': { ok: false, reason: 'not running' } } as const;
    expect(await restart(stop)).toMatchObject({ runs: true, said: [RESTARTING] });
  });

  test('one that cannot be started: both reasons, on one line', async () => {
    const results = {
      '--stop-server': { ok: false, reason: 'not running' },
      '--start-server': { ok: false, reason: 'address\nin use' },
    } as const;
    expect(await restart(results)).toMatchObject({
      runs: false,
      said: [RESTARTING, 'the /opt/sccache server could not be restarted: not running; address\\nin use'],
    });
  });
});
