// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, test } from 'vitest';
import { temporaryRoot } from '../../../lib/fs/temporary-directory.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

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
