// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isProgram, type ProcessEntry, parsePs, processTree, readProc } from '../../../../lib/vm/orphans/processes.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

function entry(pid: number, parent: number, changes: Partial<ProcessEntry> = {}): ProcessEntry {
  return { pid, parent, session: 1, start: `${pid}`, command: `p${pid}`, ...changes };
}

/** The pids that a tree of process 10 sees, look by look. */
async function looks(...tables: readonly (readonly ProcessEntry[])[]): Promise<number[][]> {
  const rest = tables.values();
  const tree = processTree(10, async () => rest.next().value ?? []);
  const seen: number[][] = [];
  for (const _ of tables) seen.push((await tree.look()).map(({ pid }) => pid));
  return seen;
}

describe('ORP-1: which processes are ours', () => {
  const gateway = entry(10, 5, { session: 10 });

  test('descendants, in whatever order they are listed; neither the task nor what looks like them', async () => {
    const table = [entry(12, 11), entry(11, 10), gateway, entry(5, 4), entry(20, 5, { command: 'p11' })];
    expect(await looks(table)).toEqual([[12, 11, 10]]);
  });

  test('one that was seen stays ours when its parents are gone, and its new children are', async () => {
    expect(await looks([gateway, entry(11, 10)], [entry(11, 1), entry(12, 11)], [entry(12, 1)])).toEqual([
      [10, 11],
      [11, 12],
      [12],
    ]);
  });

  test('another process that gets the pid of one of ours is not', async () => {
    expect(await looks([gateway, entry(11, 10)], [entry(11, 1, { start: 'later' }), entry(12, 11)])).toEqual([
      [10, 11],
      [],
    ]);
  });

  test('the session tells one whose parent nobody has seen', async () => {
    expect(await looks([gateway, entry(30, 1, { session: 10 }), entry(32, 1)])).toEqual([[10, 30]]);
  });

  test('killing: those of the tree, until none is left', async () => {
    const program = spawn('/bin/sh', ['-c', 'sleep 60 & sleep 60'], { detached: true, stdio: 'ignore' });
    const other = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
    onTestFinished(() => void other.kill('SIGKILL'));
    const pid = program.pid ?? 0;
    const tree = processTree(pid, async () => readProc());
    const ended = once(program, 'exit');
    expect((await tree.look()).map((one) => one.session)).toContain(pid);
    await tree.kill();
    await ended;
    expect(await tree.look()).toEqual([]);
    expect([other.exitCode, other.signalCode]).toEqual([null, null]);
  });

  test('killing where processes cannot be listed any more: those that were seen last', async () => {
    const program = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
    const ended = once(program, 'exit');
    let isOver = false;
    const tree = processTree(program.pid ?? 0, async () => {
      if (isOver) throw new Error('interrupted');
      return readProc();
    });
    await tree.look();
    isOver = true;
    await tree.kill();
    expect(await ended).toEqual([null, 'SIGKILL']);
  });
});

test('/proc: a name with blanks and parentheses, and a process that has ended', () => {
  const proc = temporaryDirectory('proc');
  const add = (pid: number, stat: string, cmdline = '') => {
    mkdirSync(join(proc, `${pid}`));
    for (const [name, text] of Object.entries({ stat, cmdline, comm: 'short\n' })) {
      writeFileSync(join(proc, `${pid}`, name), text);
    }
  };
  const rest = Array.from({ length: 15 }, () => '0').join(' ');
  add(7, `7 (a) b (c)) S 1 7 6 ${rest} 12345 0\n`, 'gv\0-a b\0');
  add(8, `8 (x) Z 1 7 6 ${rest} 12345 0\n`);
  add(9, `9 (x) R 7 7 6 ${rest} 12346 0\n`);
  expect(readProc(proc)).toEqual([
    { pid: 7, parent: 1, session: 6, start: '12345', command: 'gv -a b' },
    { pid: 9, parent: 7, session: 6, start: '12346', command: 'short' },
  ]);
});

test('the ps of macOS', () => {
  const output = `    1     0     1 Ss   Thu Nov 26 08:00:00 2026     /sbin/launchd
  501     1   501 S+   Thu Nov  6 13:14:15 2026     /x/gvproxy -listen unix:///a b
  502   501   501 Z    Thu Nov 26 13:14:15 2026     (gvproxy)
`;
  expect(parsePs(output)).toEqual([
    { pid: 1, parent: 0, session: 1, start: 'Thu Nov 26 08:00:00 2026', command: '/sbin/launchd' },
    {
      ...{ pid: 501, parent: 1, session: 501, start: 'Thu Nov  6 13:14:15 2026' },
      command: '/x/gvproxy -listen unix:///a b',
    },
  ]);
});

test.each([
  ['/x/gvproxy -listen', true],
  ['gvproxy', true],
  ['/bin/bash /x/gvproxy -listen', true],
  ['vi notes gvproxy', false],
  ['/x/gvproxy-linux-amd64 -listen', true],
  ['/x/old-gvproxy', false],
  ['', false],
])('%j is gvproxy: %j', (command, expected) => expect(isProgram(entry(1, 1, { command }), 'gvproxy')).toBe(expected));
