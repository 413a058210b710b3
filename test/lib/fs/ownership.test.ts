// SPDX-License-Identifier: Apache-2.0
import { chownSync, existsSync, lstatSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../lib/cli/env.ts';
import { homeOf, invokerOf, makeDirectory, takeDirectoryOwner } from '../../../lib/fs/ownership.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('making a directory', () => {
  test('with all above it, each with the mode; one that is there stays as it is', () => {
    const place = temporaryDirectory();
    makeDirectory(join(place, 'a/b'), 0o700);
    makeDirectory(join(place, 'a/b'), 0o755);
    for (const name of ['a', 'a/b']) expect(statSync(join(place, name)).mode & 0o777).toBe(0o700);
  });

  test.runIf(existsSync('/proc/self'))('below /proc it ends, and says why not', () => {
    expect(refusalOf(() => makeDirectory('/proc/nope/x'))).toMatch(
      /^1: the directory \/proc\/nope\/x cannot be created: \/proc\/nope: it does not exist \(ENOENT\)$/,
    );
  });

  test.each([
    ['a file in its place', 'file', 'it is not a directory'],
    ['a file on the way', 'file/x', 'PLACE/file/x: a part of the path is not a directory (ENOTDIR)'],
    ['a link to nowhere', 'link', 'PLACE/link: it does not exist (ENOENT)'],
  ])('%s is an error of one line', (_, name, reason) => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    symlinkSync('nowhere', join(place, 'link'));
    expect(refusalOf(() => makeDirectory(join(place, name)))).toBe(
      `1: the directory ${join(place, name)} cannot be created: ${reason.replace('PLACE', place)}`,
    );
    expect(existsSync(join(place, 'nowhere'))).toBe(false);
  });
});

describe('the user who called sudo', () => {
  const PASSWD = 'root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000:Dev,,,:/srv/dev:/bin/zsh\n';
  const SUDO = { SUDO_USER: 'dev', SUDO_UID: '1000', SUDO_GID: '1001' };
  const of = (env: Environment, platform: NodeJS.Platform = 'linux', euid: number | undefined = 0) =>
    invokerOf(env, { platform, euid, passwd: () => PASSWD });

  test('with the home that /etc/passwd has, else the usual one', () => {
    expect(of(SUDO)).toEqual({ uid: 1000, gid: 1001, user: 'dev', home: '/srv/dev' });
    expect(of({ ...SUDO, SUDO_UID: '1002' })?.home).toBe('/home/dev');
    expect(of({ ...SUDO, SUDO_UID: '1002' }, 'darwin')?.home).toBe('/Users/dev');
  });

  test.each<[string, Environment, number | undefined]>([
    ['this is not root', SUDO, 1000],
    ['there are no users', SUDO, undefined],
    ['this is not sudo', {}, 0],
    ['root called it', { SUDO_USER: 'root', SUDO_UID: '0', SUDO_GID: '0' }, 0],
    ['a number is not one', { ...SUDO, SUDO_UID: '-1' }, 0],
    ['a number is absent', { ...SUDO, SUDO_GID: '' }, 0],
  ])('nobody, where %s', (_, env, euid) => {
    expect(invokerOf(env, { platform: 'linux', euid, passwd: () => PASSWD })).toBeUndefined();
  });
});

describe.runIf(process.geteuid?.() === 0)('what root makes in a directory of another user (only as root)', () => {
  const ownerOf = (path: string) => {
    const { uid, gid } = lstatSync(path);
    return [uid, gid];
  };

  test('belongs to that user, each directory on the way too', () => {
    const place = temporaryDirectory();
    chownSync(place, 1234, 1235);
    makeDirectory(join(place, 'a/b'));
    for (const name of ['a', 'a/b']) expect(ownerOf(join(place, name))).toEqual([1234, 1235]);
    symlinkSync('/', join(place, 'link'));
    takeDirectoryOwner(join(place, 'link'));
    expect(ownerOf(join(place, 'link'))).toEqual([1234, 1235]);
    expect(ownerOf('/')).toEqual([0, 0]);
  });

  test('is left alone where somebody owns it already, and in a directory of root', () => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'mine'), '');
    takeDirectoryOwner(join(place, 'mine'));
    expect(ownerOf(join(place, 'mine'))).toEqual([0, 0]);
    chownSync(join(place, 'mine'), 77, 78);
    chownSync(place, 1234, 1235);
    takeDirectoryOwner(join(place, 'mine'));
    expect(ownerOf(join(place, 'mine'))).toEqual([77, 78]);
  });
});

test('the home is HOME, else that of the account', () => {
  expect(homeOf({ HOME: '/home/x' })).toBe('/home/x');
  expect(homeOf({ HOME: '' })).toBe(homedir());
});
