// SPDX-License-Identifier: Apache-2.0
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import type { Row } from '../../../lib/doctor/check.ts';
import { printTable } from '../../../lib/doctor/report.ts';
import { screen } from '../../support/in-process.ts';

const LONG =
  'cargo-zigbuild has no zig (none); install it (mise install zig, or pip install ziglang), or set ZIG to its path';
const ROWS: readonly Row[] = [
  { group: 'machine', name: 'platform', status: 'ok', text: 'linux', blocks: [] },
  { group: 'tools', name: 'zig', status: 'bad', text: LONG, blocks: ['gateway:docker'] },
  { group: 'tools', name: 'mise', status: 'note', text: 'not on PATH', blocks: [] },
];
const VERDICTS = [
  { task: 'gateway', problems: [LONG, 'another'], isUp: false },
  { task: 'gateway:docker', problems: [], isUp: true },
  { task: 'gateway:vm', problems: [], isUp: false },
] as const;

function table(isTTY: boolean, columns?: number, env: Record<string, string> = {}, rows = ROWS): string {
  const shown = screen(isTTY, columns);
  printTable(new Terminal(shown.out, shown.err, env), rows, VERDICTS);
  expect(shown.stderr()).toBe('');
  return shown.stdout();
}

describe('the table', () => {
  test('without a terminal each row is one line, without colour', () => {
    expect(table(false)).toBe(
      [
        'machine',
        'ok   platform  linux',
        'tools',
        `BAD  zig   ${LONG}`,
        'note mise  not on PATH',
        'tasks',
        'BAD  gateway         see zig; another',
        'note gateway:docker  its gateway is up already',
        'ok   gateway:vm      can run',
        '',
      ].join('\n'),
    );
  });

  test.each([60, 90, 40])('in %i columns no line is longer, and the text stays in its column', (columns) => {
    const lines = table(true, columns, { NO_COLOR: '1' }).split('\n');
    const text = lines.filter((line) => /^(?:BAD {2}zig {3}| {11})\S/.test(line));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(text.map((line) => line.slice(11)).join(' ')).toBe(LONG);
  });

  test('AQ-14: a command stays whole, below its text where both do not fit', () => {
    const command = 'sudo prlimit --pid $$ --nofile=8192:8192 (containers: --ulimit nofile=8192)';
    const row = { group: 'm', name: 'files', status: 'bad', text: `too low; run: ${command}`, blocks: [] } as const;
    const lines = (columns: number) => table(true, columns, { NO_COLOR: '1' }, [row]).split('\n').slice(1, 3);
    expect(lines(60)).toEqual(['BAD  files  too low; run:', `            ${command}`]);
    expect(lines(200)[0]).toBe(`BAD  files  ${row.text}`);
  });

  test('in colour only the words of the statuses and the headings are coloured', () => {
    const plain = table(true, 90, { NO_COLOR: '1' });
    const coloured = table(true, 90);
    expect(stripVTControlCharacters(coloured)).toBe(plain);
    expect(coloured).toContain('\u001b[1;31mBAD \u001b[0m zig');
    expect(table(true, 90, { TERM: 'dumb' })).toBe(plain);
  });
});
