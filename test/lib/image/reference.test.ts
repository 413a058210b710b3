// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { verifyReference, verifyRegistry, verifyTag } from '../../../lib/image/reference.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('names', () => {
  test.each(['dev', '1.2.3', '_x', 'a'.repeat(128), 'v1_2-3.4'])('tag %s', (tag) => {
    expect(verifyTag('T', tag)).toBe(tag);
  });

  test.each([':', '*', '', ' ', 'a b', '.x', '-x', 'a'.repeat(129), 'a/b', 'a\n'])('not a tag: %j', (tag) => {
    expect(() => verifyTag('T', tag)).toThrow(/^T is '/);
  });

  test.each(['ghcr.io/org', '127.0.0.1:5000', 'localhost:5000/a/b', 'registry', '[::1]:5000/x', 'Example.COM/x'])(
    'registry %s',
    (registry) => {
      expect(verifyRegistry('R', registry)).toBe(registry);
    },
  );

  test.each([
    'https://ghcr.io',
    'ghcr.io/',
    'ghcr.io/Org',
    'a b',
    'x:notaport/y',
    'x//y',
    ':5000',
    'ghcr.io/org:tag/x',
  ])('not a registry: %j', (registry) => {
    expect(() => verifyRegistry('R', registry)).toThrow(/^R is '/);
  });

  test.each(['x', 'x/y:1', 'ghcr.io/a/b', 'localhost:5000/a:b', '[::1]:5/a'])('a reference: %s', (text) => {
    expect(verifyReference('--tag', text)).toBe(text);
  });

  test('with a digest, where one is taken', () => {
    const digest = `@sha256:${'0'.repeat(64)}`;
    for (const text of ['x', 'x:1', 'ghcr.io/a/b:c'].flatMap((name) => [name, name + digest])) {
      expect(verifyReference('BASE', text, true)).toBe(text);
    }
    for (const text of [digest, 'x@sha256:0', `x${digest}0`, `x${digest}:1`, `x${digest}${digest}`, `x${digest}\n`]) {
      expect(refusalOf(() => verifyReference('BASE', text, true))).toContain('[:TAG][@sha256:DIGEST] with');
    }
    expect(refusalOf(() => verifyReference('--tag', `x${digest}`))).toMatch(/^2: --tag is '/);
  });

  test.each(['', 'x/Y', 'x:', ':y', 'a b', 'x@sha256:0', 'https://x/y', `x:${'a'.repeat(129)}`])(
    'not a reference: %j',
    (text) => {
      expect(refusalOf(() => verifyReference('--tag', text))).toMatch(/^2: --tag is '/);
    },
  );
});
