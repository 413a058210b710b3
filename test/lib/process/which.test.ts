// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findProgram, isExecutable, requireProgram, searchPath } from '../../../lib/process/which.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

let directory: string;
beforeEach(() => {
  directory = temporaryDirectory();
});

function file(path: string, mode = 0o755): string {
  const at = join(directory, path);
  mkdirSync(join(at, '..'), { recursive: true });
  writeFileSync(at, '#!/bin/sh\n', { mode });
  return at;
}
const search = (...names: string[]) => ({
  PATH: names.map((name) => (name === '' ? '' : join(directory, name))).join(':'),
});

test('the first on PATH wins', () => {
  const first = file('a/tool');
  file('b/tool');
  expect(findProgram('tool', search('a', 'b'))).toBe(first);
  expect(findProgram('tool', search('none', 'a'))).toBe(first);
});

test('what cannot be executed is passed over: a file without the bit, a directory, a dangling link, a broken PATH', () => {
  file('plain/tool', 0o644);
  mkdirSync(join(directory, 'dir/tool'), { recursive: true });
  mkdirSync(join(directory, 'dangling'));
  symlinkSync('nowhere', join(directory, 'dangling/tool'));
  symlinkSync(join(directory, 'loop'), join(directory, 'loop'));
  file('a-file');
  const good = file('good directory/tool');
  const env = search('plain', 'dir', 'dangling', 'loop', 'a-file', 'x'.repeat(300), 'good directory');
  expect(findProgram('tool', env)).toBe(good);
});

test('a link to a program is one', () => {
  const real = file('real/tool');
  mkdirSync(join(directory, 'links'));
  symlinkSync(real, join(directory, 'links/tool'));
  expect(findProgram('tool', search('links'))).toBe(join(directory, 'links/tool'));
});

test('a directory of PATH that this user may not enter is passed over', () => {
  file('private/tool');
  const good = file('good/tool');
  chmodSync(join(directory, 'private'), 0o000);
  chmodSync(directory, 0o755);
  const isRoot = process.getuid?.() === 0;
  try {
    if (isRoot) process.seteuid?.(65534);
    expect(findProgram('tool', search('private', 'good'))).toBe(good);
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(join(directory, 'private'), 0o755);
  }
});

test('relative and empty entries are skipped: they would mean another program in each directory', () => {
  const name = join(directory, 'tool');
  file('tool');
  const here = process.cwd();
  try {
    process.chdir(directory);
    expect(findProgram('tool', { PATH: '' })).toBeUndefined();
    expect(findProgram('tool', { PATH: ':.:./' })).toBeUndefined();
    expect(findProgram('tool', { PATH: `.:${directory}` })).toBe(name);
  } finally {
    process.chdir(here);
  }
});

test.each([
  ['.:/usr/bin:', '/usr/bin'],
  [':/bin::bin:./x:../y:~/bin:/usr/bin', '/bin:/usr/bin'],
  ['/with blank:/a', '/with blank:/a'],
  ['.', '/dev/null'],
  ['', '/dev/null'],
  [undefined, '/dev/null'],
])('F21: of the PATH %j children get %j', (PATH, expected) => {
  expect(searchPath({ PATH })).toBe(expected);
});

test('no PATH, no program', () => {
  expect(findProgram('sh', {})).toBeUndefined();
});

test('a name with a slash is a path and is not searched for', () => {
  const tool = file('a/tool');
  expect(findProgram(tool, {})).toBe(tool);
  expect(findProgram(join(directory, 'b/tool'), search('a'))).toBeUndefined();
});

test('executable: a regular file with the bit', () => {
  expect(isExecutable(file('yes'))).toBe(true);
  expect(isExecutable(file('no', 0o644))).toBe(false);
  expect(isExecutable(directory)).toBe(false);
  expect(isExecutable(join(directory, 'none'))).toBe(false);
  expect(isExecutable('')).toBe(false);
});

test('a program that a task cannot do without: its path, or an error that says what to do', () => {
  const tool = file('a/tool');
  file('a/plain', 0o644);
  expect(requireProgram('tool', search('a'), 'install it')).toBe(tool);
  expect(requireProgram(tool, {}, 'install it')).toBe(tool);
  expect(refusalOf(() => requireProgram('tool', search('b'), 'install it: apt install tool'))).toBe(
    '2: tool is not on PATH; install it: apt install tool',
  );
  const plain = join(directory, 'a/plain');
  expect(refusalOf(() => requireProgram(plain, search('a'), 'build it first'))).toBe(
    `2: ${plain} is not an executable program; build it first`,
  );
});
