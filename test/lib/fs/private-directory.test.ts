// SPDX-License-Identifier: Apache-2.0

import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../../lib/fs/private-directory.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('C28: private directories', () => {
  const own = ownersOf(undefined);

  test('made with 0700, and narrowed to that', () => {
    const directory = join(temporaryDirectory(), 'a/state');
    makePrivateDirectory('S', directory, own);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    chmodSync(directory, 0o755);
    makePrivateDirectory('S', directory, own);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  test('not one that all users may write to, such as /tmp', () => {
    const directory = join(temporaryDirectory(), 'shared');
    mkdirSync(directory);
    for (const mode of [0o777, 0o1777]) {
      chmodSync(directory, mode);
      for (const check of [verifyPrivateDirectory, makePrivateDirectory]) {
        expect(refusalOf(() => check('S', directory, own))).toContain(
          'which is a directory that all users may write to',
        );
      }
      expect(statSync(directory).mode & 0o7777).toBe(mode);
    }
  });

  test('never through a link, and the target keeps its mode', () => {
    const place = temporaryDirectory();
    const victim = join(place, 'victim');
    mkdirSync(victim, { mode: 0o755 });
    symlinkSync(victim, join(place, 'state'));
    for (const check of [verifyPrivateDirectory, makePrivateDirectory]) {
      expect(refusalOf(() => check('S', join(place, 'state'), own))).toContain(
        'which is a link; allowed is a directory',
      );
    }
    expect(statSync(victim).mode & 0o777).toBe(0o755);
  });

  test.each([
    ['below a file', 'file/state'],
    ['far below a file', 'file/a/b/state'],
    ['too long', 'x'.repeat(300)],
  ])('a path that is %s is refused in one line', (_, name) => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    for (const check of [verifyPrivateDirectory, makePrivateDirectory]) {
      expect(refusalOf(() => check('S', join(place, name), own))).toMatch(
        /^2: S is .* cannot be used; set it to another directory/,
      );
    }
  });

  test('no file, no dangling link, no directory of another user', () => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    symlinkSync('nowhere', join(place, 'dangling'));
    expect(refusalOf(() => makePrivateDirectory('S', join(place, 'file'), own))).toContain('which is not a directory');
    expect(refusalOf(() => makePrivateDirectory('S', join(place, 'dangling'), own))).toContain('which is a link');
    const foreign = (process.geteuid?.() ?? 0) + 1;
    mkdirSync(join(place, 'dir'));
    expect(refusalOf(() => verifyPrivateDirectory('S', join(place, 'dir'), [foreign]))).toContain('of another user');
    expect(existsSync(join(place, 'nowhere'))).toBe(false);
  });
});
