// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { absolutePath } from '../../../lib/fs/paths.ts';

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
