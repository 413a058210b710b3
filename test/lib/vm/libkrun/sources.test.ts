// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { filesInTheWay } from '../../../../lib/vm/libkrun/sources.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

test.each([
  ['nothing is there', ['new', 'sub/new', 'far/away/new'], [], []],
  ['a file', ['mine', 'sub/mine', 'new'], [], ['mine', 'sub/mine']],
  ['a file where a directory is wanted', ['mine/a', 'mine/b'], [], ['mine']],
  ['that file goes', ['mine/a'], ['mine'], []],
  ['a directory where a file is wanted', ['sub'], [], ['sub']],
  ['that directory goes', ['sub'], ['sub/theirs'], []],
  ['a link, whatever it leads to', ['link', 'broken/a'], [], ['link', 'broken']],
])('BLD-8: what is in the way: %s', (_, added, removed, expected) => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'sub'));
  for (const path of ['mine', 'sub/mine']) writeFileSync(join(directory, path), '');
  for (const name of ['link', 'broken']) symlinkSync('/nowhere', join(directory, name));
  expect(filesInTheWay(directory, added, new Set(removed)).sort()).toEqual([...expected].sort());
});
