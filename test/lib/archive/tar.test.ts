// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Header, type HeaderData } from 'tar';
import { describe, expect, test } from 'vitest';
import { ArchiveError, readArchive, writeArchive } from '../../../lib/archive/tar.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** An archive of these entries, which only a hostile program would write. */
function archiveOf(...entries: readonly (Partial<HeaderData> & { readonly content?: string })[]): Buffer {
  const blocks = entries.flatMap(({ content = '', ...data }) => {
    const block = Buffer.alloc(512);
    const size = Buffer.byteLength(content);
    new Header({ mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'File', ...data, size }).encode(block);
    return [block, Buffer.from(content.padEnd(Math.ceil(size / 512) * 512, '\0'))];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const texts = (archive: Buffer) => Object.fromEntries([...readArchive(archive)].map(([k, v]) => [k, v.toString()]));

test('DL-5: as upstream packs: ./ with 0700, other owners, long names', () => {
  const directory = temporaryDirectory();
  const long = 'n'.repeat(180);
  for (const name of ['libkrun.so', 'gvproxy', long]) writeFileSync(join(directory, name), `content of ${name}`);
  writeFileSync(join(directory, 'big'), 'b'.repeat(3_000_000));
  chmodSync(directory, 0o700);
  const owners = ['--owner=mallory:4711', '--group=staff:50'];
  const archive = execFileSync('tar', ['-C', directory, ...owners, '-cf', '-', '.'], { maxBuffer: 1e8 });
  expect(texts(archive)).toEqual({
    'libkrun.so': 'content of libkrun.so',
    gvproxy: 'content of gvproxy',
    [long]: `content of ${long}`,
    big: 'b'.repeat(3_000_000),
  });
});

describe('refused before anything is unpacked', () => {
  const fine = { path: './fine', content: 'x' };
  test.each<[string, Partial<HeaderData> & { content?: string }, string]>([
    ['a path out of it', { path: '../evil', content: 'x' }, 'it leaves the directory'],
    ['a hidden path out of it', { path: './a/../../evil', content: 'x' }, 'it leaves the directory'],
    ['an absolute path', { path: '/etc/passwd', content: 'x' }, 'it leaves the directory'],
    ['a directory out of it', { path: '../evil/', type: 'Directory' }, 'it leaves the directory'],
    ['a link', { path: 'l', type: 'SymbolicLink', linkpath: '../x' }, 'its type is SymbolicLink'],
    ['a hard link', { path: 'l', type: 'Link', linkpath: '/etc/passwd' }, 'its type is Link'],
    ['a device', { path: 'dev', type: 'CharacterDevice' }, 'its type is CharacterDevice'],
    ['a block device', { path: 'dev', type: 'BlockDevice' }, 'its type is BlockDevice'],
    ['a pipe', { path: 'p', type: 'FIFO' }, 'its type is FIFO'],
    ['a set-user-ID program', { path: 'su', mode: 0o4755, content: 'x' }, 'its mode is 4755'],
    ['a sticky file', { path: 'su', mode: 0o1644, content: 'x' }, 'its mode is 1644'],
    ['a second entry of a path', { path: 'fine', content: 'y' }, 'it is there twice'],
    ['a file without a name', { path: './', content: '' }, ''],
  ])('%s', (_, entry, reason) => {
    if (reason === '') return expect(texts(archiveOf(fine, entry))).toEqual({ fine: 'x' });
    expect(() => readArchive(archiveOf(fine, entry))).toThrow(ArchiveError);
    expect(() => readArchive(archiveOf(fine, entry))).toThrow(reason);
  });

  test('an archive that is cut off, damaged, or none', () => {
    const whole = archiveOf({ path: 'a', content: 'x'.repeat(5000) });
    expect(() => readArchive(whole.subarray(0, 2048))).toThrow(/damaged: .*Truncated/);
    const damaged = Buffer.from(whole);
    damaged[3] = 0x41;
    expect(() => readArchive(damaged)).toThrow(ArchiveError);
    expect(() => readArchive(Buffer.from('<html>'.repeat(500)))).toThrow(ArchiveError);
    expect(() => readArchive(Buffer.alloc(0))).toThrow(ArchiveError);
    expect(() => readArchive(Buffer.alloc(10_240))).toThrow(ArchiveError);
    expect(() => readArchive(archiveOf({ path: 'd/', type: 'Directory' }))).toThrow('not a tar archive with files');
  });
});

const FILES = [
  { path: './umoci', content: Buffer.from('u'.repeat(700)), mode: 0o755 },
  { path: './Zebra', content: Buffer.alloc(512, 1), mode: 0o644 },
  { path: './gvproxy', content: Buffer.alloc(0), mode: 0o755 },
];

test('PKG-7: GNU tar lists sorted names, 0:0, the modes and the time; our own reader gives the contents', () => {
  const archive = writeArchive(FILES, 1_700_000_000);
  const input = { input: archive, encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } } as const;
  const lines = execFileSync('tar', ['--numeric-owner', '--full-time', '-tvf', '-'], input).trim().split('\n');
  expect(lines.map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
    '-rw-r--r-- 0/0 512 2023-11-14 22:13:20 ./Zebra',
    '-rwxr-xr-x 0/0 0 2023-11-14 22:13:20 ./gvproxy',
    '-rwxr-xr-x 0/0 700 2023-11-14 22:13:20 ./umoci',
  ]);
  expect(writeArchive([...FILES].reverse(), 1_700_000_000).equals(archive)).toBe(true);
  expect(readArchive(archive)).toEqual(new Map(FILES.map(({ path, content }) => [path.slice(2), content])));
});
