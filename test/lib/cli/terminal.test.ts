// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../lib/cli/env.ts';
import { seconds, Terminal } from '../../../lib/cli/terminal.ts';
import { screen } from '../../support/in-process.ts';

/** Everything that a terminal can say, on a screen. */
async function everything(isTTY: boolean, env: Environment) {
  const shown = screen(isTTY);
  const terminal = new Terminal(shown.out, shown.err, env);
  terminal.result('result');
  terminal.say('say');
  terminal.echo('cargo build');
  terminal.warn('careful');
  terminal.error('broken');
  await terminal.section('part', async () => undefined);
  await terminal.section('build', async () => undefined, 'build of x');
  terminal.pass(Buffer.from('bytes\n'));
  return { out: shown.stdout(), err: shown.stderr(), terminal };
}

const PLAIN = 'say\n$ cargo build\nwarning: careful\nerror: broken\n==> part\n==> build of x\nbytes\n';

test('marked lines of the result have colour where stdout is a terminal that understands it', () => {
  const marked = (isTTY: boolean, env: Environment) => {
    const shown = screen(isTTY, 60);
    const terminal = new Terminal(shown.out, screen().err, env);
    terminal.marked('bad', 'BAD', ' a\nb');
    return [shown.stdout(), terminal.resultColumns];
  };
  expect(marked(true, {})).toEqual(['\u001b[1;31mBAD\u001b[0m a\\nb\n', 60]);
  expect(marked(true, { NO_COLOR: '1' })).toEqual(['BAD a\\nb\n', 60]);
  expect(marked(true, { TERM: 'dumb' })).toEqual(['BAD a\\nb\n', 60]);
  expect(marked(false, {})).toEqual(['BAD a\\nb\n', Number.POSITIVE_INFINITY]);
});

describe('colour', () => {
  test.each<[string, boolean, Environment]>([
    ['no terminal', false, { TERM: 'xterm' }],
    ['no terminal, whatever is wanted', false, { TERM: 'xterm', NO_COLOR: '' }],
    ['TERM=dumb', true, { TERM: 'dumb' }],
  ])('%s: no escape at all', async (_, isTTY, env) => {
    const { out, err, terminal } = await everything(isTTY, env);
    expect(out).toBe('result\n');
    expect(err).toBe(PLAIN);
    expect(terminal.isColoured).toBe(false);
    expect(terminal.isInteractive).toBe(isTTY);
  });

  test('NO_COLOR on a terminal: no colour', async () => {
    const { err, terminal } = await everything(true, { NO_COLOR: '1', TERM: 'xterm' });
    expect(terminal.isColoured).toBe(false);
    // What remains is the one that empties the line of a progress bar.
    expect(err.replace('\r\u001b[K', '')).toBe(PLAIN);
  });

  test.each<[string, Environment]>([
    ['a terminal', { TERM: 'xterm' }],
    ['NO_COLOR set but empty', { NO_COLOR: '', TERM: 'xterm' }],
    ['no TERM', {}],
  ])('%s: colour on stderr, none in the results', async (_, env) => {
    const { out, err, terminal } = await everything(true, env);
    expect(terminal.isColoured).toBe(true);
    expect(out).toBe('result\n');
    expect(err).toContain('\u001b[1;31merror:\u001b[0m broken\n');
    expect(err).toContain('\u001b[1;33mwarning:\u001b[0m careful\n');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences start with one
    expect(err.replaceAll(/\r?\u001b\[[0-9;]*[mK]/g, '')).toBe(PLAIN);
  });

  test('stdout being a terminal does not colour a stderr that is not', () => {
    const shown = screen(false);
    expect(new Terminal(screen(true).out, shown.err, {}).isColoured).toBe(false);
  });
});

test.each([
  [120, 120],
  [0, 80],
  [undefined, 80],
])('a width of %j is %i columns', (columns, width) => {
  const shown = screen(true, columns);
  expect(new Terminal(shown.out, shown.err, {}).columns).toBe(width);
});

describe('times', () => {
  test('of the sections, in their order, also of one that failed', async () => {
    const { terminal } = await everything(false, {});
    const failing = terminal.section('fails', async () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(terminal.timings()).toMatch(/^part 0\.0\d s, build 0\.0\d s, fails 0\.0\d s$/);
  });

  test('a section gives what its body gives', async () => {
    const { terminal } = await everything(false, {});
    expect(await terminal.section('x', async () => 42)).toBe(42);
  });

  test('none, where there was no section', () => {
    const shown = screen();
    expect(new Terminal(shown.out, shown.err, {}).timings()).toBe('');
  });

  test.each([
    [0, '0.00 s'],
    [4, '0.00 s'],
    [31, '0.03 s'],
    [1000, '1.00 s'],
    [9994, '9.99 s'],
    [10_000, '10.0 s'],
    [12_340, '12.3 s'],
    [59_900, '59.9 s'],
    [60_000, '1 min 0 s'],
    [125_400, '2 min 5 s'],
    [119_600, '2 min 0 s'],
    [3_600_000, '60 min 0 s'],
  ])('%i ms are %s', (ms, text) => {
    expect(seconds(ms)).toBe(text);
  });
});
