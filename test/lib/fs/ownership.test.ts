// SPDX-License-Identifier: Apache-2.0
import { existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { verifyWritable } from '../../../lib/fs/atomic-write.ts';
import { makeDirectory } from '../../../lib/fs/ownership.ts';
import { temporaryRoot } from '../../../lib/fs/temp.ts';
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
      /^1: the directory \/proc\/nope\/x cannot be made: ENOENT/,
    );
  });

  test.each([
    ['a file in its place', 'file', 'it is no directory'],
    ['a file on the way', 'file/x', 'ENOTDIR'],
    ['a link to nowhere', 'link', 'ENOENT'],
  ])('%s is an error of one line', (_, name, reason) => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    symlinkSync('nowhere', join(place, 'link'));
    expect(refusalOf(() => makeDirectory(join(place, name)))).toContain(
      `${join(place, name)} cannot be made: ${reason}`,
    );
    expect(existsSync(join(place, 'nowhere'))).toBe(false);
  });
});

describe('a directory that is needed later', () => {
  test('may be missing, as long as it can be made', () => {
    verifyWritable(join(temporaryDirectory(), 'a/b/c'), 'set X');
  });

  test('is refused below a file, with what to do', () => {
    const file = join(temporaryDirectory(), 'file');
    writeFileSync(file, '');
    expect(refusalOf(() => verifyWritable(join(file, 'x'), 'set X to another directory'))).toContain(
      `2: ${join(file, 'x')} cannot be written to, because of ${file}; set X to another directory`,
    );
  });
});

describe('the directory for temporary files', () => {
  const before = process.env.TMPDIR;
  afterEach(() => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  });

  test('is TMPDIR', () => {
    const place = temporaryDirectory();
    process.env.TMPDIR = place;
    expect(temporaryRoot()).toBe(place);
  });

  test.each(['/dev/null', '/nowhere/at/all'])('TMPDIR=%s is refused', (directory) => {
    process.env.TMPDIR = directory;
    expect(refusalOf(() => temporaryRoot())).toMatch(
      /^2: temporary files belong in .* set TMPDIR to another directory/,
    );
  });
});
