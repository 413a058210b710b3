// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requireThing } from '../support/real-tools.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { type Contestant, countExecve, countPrograms, inOrder, timeInTurn, tryAll, whyNoCounting } from './measure.ts';
import { tableText } from './table.ts';

function contestant(name: string, script: string, cwd: string, removed: readonly string[] = []): Contestant {
  return { name, argv: ['/bin/sh', '-c', script], cwd, env: { PATH: '/usr/bin:/bin' }, removed };
}

test('counts the execve calls that succeeded, those that were interrupted in the trace too', () => {
  const trace = [
    '10 execve("/usr/bin/bash", ["bash", "-c", "a) = 0"], 0x7ffd /* 3 vars */) = 0',
    '11 execve("/opt/cargo", ["cargo"], 0x55 /* 4 vars */) = -1 ENOENT (No such file or directory)',
    '11 execve("/usr/bin/cargo", ["cargo"], 0x55 /* 4 vars */ <unfinished ...>',
    '10 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=11, si_status=0} ---',
    '11 <... execve resumed>)                = 0',
    '11 +++ exited with 0 +++',
  ];
  expect(countExecve(trace.join('\n'))).toBe(2);
});

const noCounting = whyNoCounting();

test('counts real programs', requireThing(`strace (${noCounting})`, noCounting === undefined), async () => {
  const directory = temporaryDirectory();
  expect(await countPrograms(contestant('three', '/bin/true; exec /bin/true', directory), directory)).toBe(3);
  expect(await countPrograms(contestant('failing', 'exit 3', directory), directory)).toBeUndefined();
});

test('every round has everybody, and they do not always follow the same one', () => {
  const rounds = [0, 1, 2, 3].map((round) => inOrder(['a', 'b', 'c'], round));
  expect(rounds.map((order) => order.join(''))).toEqual(['abc', 'acb', 'cab', 'cba']);
});

test('who fails is named with what was said, and the others are timed', async () => {
  const directory = temporaryDirectory();
  const good = contestant('good', 'exit 0', directory);
  const bad = contestant('bad', 'echo oh no >&2; exit 3', directory);
  expect([...(await tryAll([good, bad]))]).toEqual([[bad, 'status 3: oh no']]);
  const { times, failures } = await timeInTurn([good, bad], { warmUp: 1, counted: 2 });
  expect([...failures.keys()]).toEqual([bad]);
  expect(times.get(good)).toHaveLength(2);
});

test('what a contestant wants removed is removed before each run', async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'out'));
  writeFileSync(join(directory, 'out', 'left'), '');
  const strict = contestant('strict', 'mkdir out', directory, ['out']);
  expect((await timeInTurn([strict], { warmUp: 0, counted: 3 })).failures.size).toBe(0);
});

test('a table is aligned: names to the left, numbers to the right', () => {
  const rows = [
    ['name', 'ms'],
    ['a', '1.0'],
    ['longer', '10.0'],
  ];
  expect(tableText(rows, 1)).toBe('name      ms\n------  ----\na        1.0\nlonger  10.0\n');
});
