// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { isLeftover, newRunName } from '../../../lib/fs/scratch.ts';

describe('leftovers', () => {
  test('of this run, of a dead one, of another program', () => {
    expect(isLeftover(`openshell-publish-${newRunName()}`)).toBe(false);
    expect(isLeftover('localhost/openshell-publish/gateway:999999999-12-0123abcd')).toBe(true);
    // The same pid, started at another time.
    expect(isLeftover(`openshell-publish-${process.pid}-1-0123abcd`)).toBe(process.platform === 'linux');
    for (const name of ['openshell-publish', 'x:dev', 'x-0-0-0123abcd', 'x-999999999-1-0123']) {
      expect(isLeftover(name), name).toBe(false);
    }
  });

  test('no two runs have the same name', () => {
    expect(newRunName()).not.toBe(newRunName());
  });
});
