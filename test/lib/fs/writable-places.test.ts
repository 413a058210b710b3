// SPDX-License-Identifier: Apache-2.0

/** What is known of a place before anything is written; file systems that refuse, for real: test/flows. */

import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Problems } from '../../../lib/cli/problems.ts';
import { Terminal } from '../../../lib/cli/terminal.ts';
import {
  makePrivateDirectory,
  notePlaces,
  ownersOf,
  type Place,
  verifyPlace,
  verifyPrivateDirectory,
} from '../../../lib/fs/writable-places.ts';
import { screen } from '../../support/in-process.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const KINDS = ['directory', 'file', 'opened', 'appended'] as const;

function directoryWithAll() {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'directory'));
  writeFileSync(join(directory, 'file'), '');
  symlinkSync('file', join(directory, 'link'));
  symlinkSync('nothing', join(directory, 'dangling'));
  return directory;
}

test.each(KINDS.slice(0, -1))('%s: it may be absent, with all that is above it, and nothing is written', (kind) => {
  const directory = temporaryDirectory();
  verifyPlace({ kind, path: join(directory, 'a/b/c') });
  expect(readdirSync(directory)).toEqual([]);
});

test.each<[Place['kind'], string, RegExp | undefined]>([
  ['directory', 'directory', undefined],
  ['directory', 'file', /file cannot be written: it is not a directory; remove it$/],
  ['directory', 'file/x/y', /file\/x\/y cannot be written because of \/\S+\/file: it is not a directory; remove it$/],
  ['directory', 'dangling/x', /because of \S+\/dangling: it is a link to something that does not exist; remove it$/],
  ['file', 'file', undefined],
  ['file', 'link', undefined],
  ['file', 'dangling', undefined],
  ['file', 'directory', /directory cannot be written: it is a directory where a file is wanted; remove it \(EISDIR\)$/],
  ['opened', 'file', undefined],
  ['opened', 'link', /link cannot be written: it is a link or not a regular file; remove it$/],
  ['opened', 'dangling', /dangling cannot be written: it is a link or not a regular file; remove it$/],
  ['opened', 'directory', /\(EISDIR\)$/],
  ['appended', 'link', undefined],
  ['appended', 'dangling', /it is a link to something that does not exist; remove it$/],
  ['appended', 'directory', /\(EISDIR\)$/],
  ['appended', 'directory/x', undefined],
  ['appended', 'absent/x', /its directory does not exist; create it$/],
])('%s in the place of which there is: %s', (kind, name, problem) => {
  const place = { kind, path: join(directoryWithAll(), name) };
  if (problem === undefined) verifyPlace(place);
  else expect(refusalOf(() => verifyPlace(place))).toMatch(problem);
});

test('VT-4: what is appended to may be a device, and a file does not replace one', () => {
  verifyPlace({ kind: 'appended', path: '/dev/null' });
  expect(refusalOf(() => verifyPlace({ kind: 'file', path: '/dev/null' }))).toMatch(
    /it is the system's, and no place for files of users; name another one$/,
  );
});

test('SHL-6: a link to what is no regular file is not replaced, nor is any name of /dev', () => {
  const directory = directoryWithAll();
  symlinkSync('/dev/null', join(directory, 'device'));
  symlinkSync('/dev', join(directory, 'devices'));
  for (const name of ['device', 'devices']) {
    expect(refusalOf(() => verifyPlace({ kind: 'file', path: join(directory, name) }))).toMatch(
      /(it is a link or not a regular file; remove it|\(EISDIR\))$/,
    );
  }
  for (const path of ['/dev/stdout', '/dev/nothing', '/dev/nothing/x']) {
    expect(refusalOf(() => verifyPlace({ kind: 'file', path }))).toMatch(
      /cannot be written: it is the system's, and no place for files of users; name another one$/,
    );
  }
});

describe.each(KINDS)('a name that is too long, %s', (kind) => {
  test.each(['x'.repeat(256), `absent/${'ä'.repeat(128)}/x`, 'y/'.repeat(2500)])('%.20s', (name) => {
    const path = join(temporaryDirectory(), name);
    expect(refusalOf(() => verifyPlace({ kind, path }))).toMatch(
      /cannot be written: the name is too long; use a shorter path \(ENAMETOOLONG\)$/,
    );
  });
});

test('a file that is replaced has a longer name for a moment', () => {
  const path = join(temporaryDirectory(), 'x'.repeat(250));
  expect(refusalOf(() => verifyPlace({ kind: 'file', path }))).toMatch(/\(ENAMETOOLONG\)$/);
  verifyPlace({ kind: 'appended', path });
});

test('F15b: what the system keeps is never created, also by a link', () => {
  const link = join(temporaryDirectory(), 'link');
  symlinkSync('/proc', link);
  for (const path of ['/proc/nope', '/sys/nope/x', '/proc/self/fd/y', `${link}/nope`]) {
    expect(refusalOf(() => verifyPlace({ kind: 'directory', path, remedy: 'set X to another directory' }))).toMatch(
      /^2: \S+ cannot be written because of \S+: it is the system's, .*; name another one, or set X to another directory$/,
    );
  }
});

test('of several places all problems are told, and what is in the way of several is told once', () => {
  const directory = directoryWithAll();
  const at = (path: string) => ({ kind: 'file', path: join(directory, path) }) as const;
  const problems = new Problems();
  notePlaces(problems, [at('file/a'), at('file/b/c'), at('ok'), at('directory')]);
  const shown = screen();
  expect(() => problems.throwIfAny(new Terminal(shown.out, shown.err, {}))).toThrow(
    `${directory}/directory cannot be written: it is a directory`,
  );
  expect(shown.stderr()).toMatch(/^error: .*file\/a cannot be written because of .*\/file: [^\n]*\n$/);
});

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
