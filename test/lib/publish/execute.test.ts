// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readDigest } from '../../../lib/publish/execute.ts';
import { DIGEST_A, DIGEST_B } from '../../support/publish-plan.ts';
import { refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('what engines leave in a file', () => {
  const fileWith = (text: string) => {
    const file = join(temporaryDirectory(), 'digest');
    writeFileSync(file, text);
    return file;
  };

  test.each([`${DIGEST_A}\n`, DIGEST_A, `{"containerimage.digest":"${DIGEST_A}","x":1}`])('a digest: %j', (text) => {
    expect(readDigest('digest of gateway', fileWith(text))).toBe(DIGEST_A);
  });

  test.each(['', 'sha256:abc', `${DIGEST_A} ${DIGEST_B}`, '{}', '{"containerimage.digest":7}', '<html>'])(
    'something else: %j',
    (text) => {
      const file = fileWith(text);
      expect(refusalOf(() => readDigest('digest of gateway', file))).toMatch(
        new RegExp(`^1: the engine did not give the digest of gateway: ${file} holds '`),
      );
    },
  );

  test('nothing', () => {
    expect(refusalOf(() => readDigest('id of gateway linux/amd64', '/nonexistent'))).toBe(
      "1: the engine did not give the id of gateway linux/amd64: /nonexistent holds ''",
    );
  });
});
