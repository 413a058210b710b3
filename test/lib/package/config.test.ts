// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { verifyDebVersion } from '../../../lib/package/config.ts';
import { requireTools } from '../../support/real-tools.ts';
import { refusalOf } from '../../support/task-errors.ts';

const GOOD = [
  '1',
  '1.2.3',
  '0.0.0-local',
  '1.2.3~dev.4+gabc-1',
  '1:1.0',
  '0:0',
  '2147483647:1',
  '1.0-1-2',
  '1-1~',
  '1+',
  '9a',
];
const BAD = [
  '',
  'v1',
  '1&2',
  '1|2',
  '1/2',
  '../1',
  '1 2',
  '1\n',
  ' 1',
  '1_2',
  '1-',
  '1.0-1-',
  ':1',
  'a:1',
  '1:',
  '1:a',
  '1:2:3',
];

describe('DEB-2: Debian versions', () => {
  test.each(GOOD)('%j is one', (version) => {
    expect(verifyDebVersion(version)).toBe(version);
  });

  test.each(BAD)('%j is none', (version) => {
    expect(refusalOf(() => verifyDebVersion(version))).toMatch(
      /^2: OPENSHELL_DEB_VERSION is '.*'; allowed is a Debian version such as /,
    );
  });

  const dpkg = requireTools('dpkg-deb');
  test('dpkg says the same', dpkg.options, () => {
    const isTaken = (version: string) => spawnSync('dpkg', ['--validate-version', version]).status === 0;
    expect(GOOD.filter((version) => !isTaken(version))).toEqual([]);
    // Blanks around a version are no part of it to dpkg, and its colons would be in a file's name.
    const same = BAD.filter((version) => version.trim() === version && version !== '1:2:3');
    expect(same.filter(isTaken)).toEqual([]);
  });
});
