// SPDX-License-Identifier: Apache-2.0
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findProgram, isExecutable } from '../../../lib/process/which.ts';
import { temporaryFolder } from '../../support/temporary.ts';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function file(path: string, mode = 0o755): string {
  const at = join(folder, path);
  mkdirSync(join(at, '..'), { recursive: true });
  writeFileSync(at, '#!/bin/sh\n', { mode });
  return at;
}
const search = (...names: string[]) => ({
  PATH: names.map((name) => (name === '' ? '' : join(folder, name))).join(':'),
});

test('the first on PATH wins', () => {
  const first = file('a/tool');
  file('b/tool');
  expect(findProgram('tool', search('a', 'b'))).toBe(first);
  expect(findProgram('tool', search('none', 'a'))).toBe(first);
});

test('what cannot be executed is passed over: a file without the bit, a folder, a dangling link, a broken PATH', () => {
  file('plain/tool', 0o644);
  mkdirSync(join(folder, 'dir/tool'), { recursive: true });
  mkdirSync(join(folder, 'dangling'));
  symlinkSync('nowhere', join(folder, 'dangling/tool'));
  symlinkSync(join(folder, 'loop'), join(folder, 'loop'));
  file('a-file');
  const good = file('good folder/tool');
  const env = search('plain', 'dir', 'dangling', 'loop', 'a-file', 'x'.repeat(300), 'good folder');
  expect(findProgram('tool', env)).toBe(good);
});

test('a link to a program is one', () => {
  const real = file('real/tool');
  mkdirSync(join(folder, 'links'));
  symlinkSync(real, join(folder, 'links/tool'));
  expect(findProgram('tool', search('links'))).toBe(join(folder, 'links/tool'));
});

test('a folder of PATH that this user may not enter is passed over', () => {
  file('private/tool');
  const good = file('good/tool');
  chmodSync(join(folder, 'private'), 0o000);
  chmodSync(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  try {
    if (isRoot) process.seteuid?.(65534);
    expect(findProgram('tool', search('private', 'good'))).toBe(good);
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(join(folder, 'private'), 0o755);
  }
});

test('relative and empty entries are skipped: they would mean another program in each folder', () => {
  const name = join(folder, 'tool');
  file('tool');
  const here = process.cwd();
  try {
    process.chdir(folder);
    expect(findProgram('tool', { PATH: '' })).toBeUndefined();
    expect(findProgram('tool', { PATH: ':.:./' })).toBeUndefined();
    expect(findProgram('tool', { PATH: `.:${folder}` })).toBe(name);
  } finally {
    process.chdir(here);
  }
});

test('no PATH, no program', () => {
  expect(findProgram('sh', {})).toBeUndefined();
});

test('a name with a slash is a path and is not searched for', () => {
  const tool = file('a/tool');
  expect(findProgram(tool, {})).toBe(tool);
  expect(findProgram(join(folder, 'b/tool'), search('a'))).toBeUndefined();
});

test('executable: a regular file with the bit', () => {
  expect(isExecutable(file('yes'))).toBe(true);
  expect(isExecutable(file('no', 0o644))).toBe(false);
  expect(isExecutable(folder)).toBe(false);
  expect(isExecutable(join(folder, 'none'))).toBe(false);
  expect(isExecutable('')).toBe(false);
});
