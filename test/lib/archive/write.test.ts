// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { readArchive } from '../../../lib/archive/read.ts';
import { writeArchive } from '../../../lib/archive/write.ts';

const FILES = [
  { path: './umoci', content: Buffer.from('u'.repeat(700)), mode: 0o755 },
  { path: './Zebra', content: Buffer.alloc(512, 1), mode: 0o644 },
  { path: './gvproxy', content: Buffer.alloc(0), mode: 0o755 },
];

test('PKG-7: GNU tar lists sorted names, 0:0, the modes and the time; our own reader gives the contents', async () => {
  const archive = writeArchive(FILES, 1_700_000_000);
  const input = { input: archive, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } } as const;
  const lines = execFileSync('tar', ['--numeric-owner', '--full-time', '-tvf', '-'], input).trim().split('\n');
  expect(lines.map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
    '-rw-r--r-- 0/0 512 2023-11-14 22:13:20 ./Zebra',
    '-rwxr-xr-x 0/0 0 2023-11-14 22:13:20 ./gvproxy',
    '-rwxr-xr-x 0/0 700 2023-11-14 22:13:20 ./umoci',
  ]);
  expect(writeArchive([...FILES].reverse(), 1_700_000_000).equals(archive)).toBe(true);
  expect(await readArchive(archive)).toEqual(new Map(FILES.map(({ path, content }) => [path.slice(2), content])));
});
