// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { absolutePath, ancestorsOf, contentOf, namesIn, textIn } from '../../../lib/fs/paths.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test.each([
  ['/abs/x', '/abs/x'],
  ['x', '/start here/x'],
  ['./x/', '/start here/x'],
  ['../x', '/x'],
  ['.', '/start here'],
  ['~/x', '/start here/~/x'],
  ['a\nb', '/start here/a\nb'],
])('%j', (path, absolute) => {
  expect(absolutePath('/start here', path)).toBe(absolute);
});

test('the way up from a directory ends at the root', () => {
  expect(ancestorsOf('/a/b c')).toEqual(['/a/b c', '/a', '/']);
  expect(ancestorsOf('/')).toEqual(['/']);
});

test('the names in a directory; none where it cannot be listed', () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'b'));
  writeFileSync(join(directory, 'a'), '');
  expect(namesIn(directory).sort()).toEqual(['a', 'b']);
  expect(namesIn(join(directory, 'b'))).toEqual([]);
  expect(namesIn(join(directory, 'a'))).toEqual([]);
  expect(namesIn(join(directory, 'none'))).toEqual([]);
});

test('the text of a file; nothing where it cannot be read', () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'a'), 'ä\n');
  writeFileSync(join(directory, 'empty'), '');
  symlinkSync('loop', join(directory, 'loop'));
  expect(textIn(join(directory, 'a'))).toBe('ä\n');
  expect(textIn(join(directory, 'empty'))).toBe('');
  for (const name of ['none', '.', 'a/x', 'loop', 'x'.repeat(300)]) {
    expect(textIn(join(directory, name)), name).toBeUndefined();
  }
});

test('SHL-7: the bytes of a file, also behind a link; of a device that has no end nothing is read', () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'a'), 'ä');
  symlinkSync('a', join(directory, 'link'));
  expect(contentOf(join(directory, 'link')).toString()).toBe('ä');
  for (const name of ['none', '.', 'a/x']) expect(() => contentOf(join(directory, name)), name).toThrow(/^E[A-Z]+: /);
  symlinkSync('/dev/zero', join(directory, 'zero'));
  expect(refusalOf(() => contentOf(join(directory, 'zero')))).toBe(
    `1: ${directory}/zero is not a regular file; put one in its place`,
  );
});
