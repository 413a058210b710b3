// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Header, type HeaderData } from 'tar';
import { describe, expect, test } from 'vitest';
import { ArchiveError, readArchive } from '../../../lib/archive/read.ts';
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

const texts = async (archive: Buffer) =>
  Object.fromEntries([...(await readArchive(archive))].map(([k, v]) => [k, v.toString()]));

test('DL-5: as upstream packs: ./ with 0700, other owners, long names, links within', async () => {
  const directory = temporaryDirectory();
  const long = 'n'.repeat(180);
  for (const name of ['libkrun.so', 'gvproxy', long]) writeFileSync(join(directory, name), `content of ${name}`);
  writeFileSync(join(directory, 'big'), 'b'.repeat(3_000_000));
  symlinkSync('libkrun.so', join(directory, 'libkrun.so.1'));
  linkSync(join(directory, 'gvproxy'), join(directory, 'gvproxy.2'));
  chmodSync(directory, 0o700);
  const owners = ['--owner=mallory:4711', '--group=staff:50'];
  const archive = execFileSync('tar', ['-C', directory, ...owners, '-cf', '-', '.'], { maxBuffer: 1e8 });
  expect(await texts(archive)).toEqual({
    'libkrun.so': 'content of libkrun.so',
    'libkrun.so.1': 'content of libkrun.so',
    gvproxy: 'content of gvproxy',
    'gvproxy.2': 'content of gvproxy',
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
    ['a link out of it', { path: 'l', type: 'SymbolicLink', linkpath: '../x' }, "it leads to '../x', which leaves"],
    ['an absolute link', { path: 'l', type: 'SymbolicLink', linkpath: '/etc' }, "it leads to '/etc', which leaves"],
    ['a hard link out of it', { path: 'l', type: 'Link', linkpath: '/etc/passwd' }, 'which leaves the directory'],
    ['a link to nothing', { path: 'l', type: 'SymbolicLink', linkpath: 'm' }, 'it leads to no file of the archive'],
    ['a link to itself', { path: 'l', type: 'SymbolicLink', linkpath: 'l' }, 'it leads to no file of the archive'],
    ['a device', { path: 'dev', type: 'CharacterDevice' }, 'its type is CharacterDevice'],
    ['a block device', { path: 'dev', type: 'BlockDevice' }, 'its type is BlockDevice'],
    ['a pipe', { path: 'p', type: 'FIFO' }, 'its type is FIFO'],
    ['a set-user-ID program', { path: 'su', mode: 0o4755, content: 'x' }, 'its mode is 4755'],
    ['a sticky file', { path: 'su', mode: 0o1644, content: 'x' }, 'its mode is 1644'],
    ['a second entry of a path', { path: 'fine', content: 'y' }, 'it is there twice'],
    ['a file without a name', { path: './', content: '' }, ''],
  ])('%s', async (_, entry, reason) => {
    if (reason === '') return expect(await texts(archiveOf(fine, entry))).toEqual({ fine: 'x' });
    await expect(readArchive(archiveOf(fine, entry))).rejects.toThrow(ArchiveError);
    await expect(readArchive(archiveOf(fine, entry))).rejects.toThrow(reason);
  });

  test('an archive that is cut off, damaged, or none', async () => {
    const whole = archiveOf({ path: 'a', content: 'x'.repeat(5000) });
    await expect(readArchive(whole.subarray(0, 2048))).rejects.toThrow(/damaged: .*Truncated/);
    const damaged = Buffer.from(whole);
    damaged[3] = 0x41;
    await expect(readArchive(damaged)).rejects.toThrow(ArchiveError);
    await expect(readArchive(Buffer.from('<html>'.repeat(500)))).rejects.toThrow(ArchiveError);
    await expect(readArchive(Buffer.alloc(0))).rejects.toThrow(ArchiveError);
    await expect(readArchive(Buffer.alloc(10_240))).rejects.toThrow(ArchiveError);
    await expect(readArchive(archiveOf({ path: 'd/', type: 'Directory' }))).rejects.toThrow(
      'not a tar archive with files',
    );
    await expect(readArchive(whole.subarray(0, 512 + 5120))).rejects.toThrow('it has no end');
  });
});
