// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { type Content, contentIn, isSameContent } from '../../../../lib/publish/engines/types.ts';
import { DIGEST_A, DIGEST_B } from '../../../support/publish-plan.ts';

const AMD = { platform: 'linux/amd64', digest: DIGEST_A };
const ARM = { platform: 'linux/arm64', digest: DIGEST_B };

describe('the content of a manifest', () => {
  const imagesIn = (manifests: unknown, digest?: string) => contentIn(JSON.stringify({ manifests }), digest)?.images;

  test('entries of an index that are not images', () => {
    expect(imagesIn(null)).toEqual([]);
    expect(imagesIn([{ digest: DIGEST_A }, { platform: { os: 'linux', architecture: 'arm64' } }])).toEqual([
      { platform: undefined, digest: DIGEST_A },
    ]);
    expect(imagesIn([{ digest: DIGEST_B, platform: { os: 'unknown', architecture: 'unknown' } }])).toEqual([]);
  });

  test('AL-1: entries that are none at all', () => {
    expect(imagesIn([null, 1, 'x', { digest: DIGEST_A, platform: 7 }])).toEqual([
      { platform: undefined, digest: DIGEST_A },
    ]);
  });

  test('one image alone', () => {
    expect(imagesIn(undefined, DIGEST_A)).toEqual([{ platform: undefined, digest: DIGEST_A }]);
  });
});

describe('comparing', () => {
  const content = (digest: string | undefined, images: Content['images']): Content => ({ digest, images });

  test('lists of images, in any order; a platform that is not known fits any', () => {
    const isSameImages = (one: Content['images'], other: Content['images']) =>
      isSameContent(content(undefined, one), content(undefined, other));
    expect(isSameImages([AMD, ARM], [ARM, AMD])).toBe(true);
    expect(isSameImages([AMD], [AMD, ARM])).toBe(false);
    expect(isSameImages([AMD], [{ ...AMD, digest: DIGEST_B }])).toBe(false);
    expect(isSameImages([AMD], [{ platform: undefined, digest: DIGEST_A }])).toBe(true);
    expect(isSameImages([{ platform: undefined, digest: DIGEST_A }], [AMD])).toBe(true);
    expect(isSameImages([AMD], [{ ...AMD, platform: 'linux/arm64' }])).toBe(false);
  });

  test('by digest where both are known, else by images', () => {
    expect(isSameContent(content(DIGEST_A, [AMD]), content(DIGEST_A, []))).toBe(true);
    expect(isSameContent(content(DIGEST_A, [AMD]), content(DIGEST_B, [AMD]))).toBe(false);
    expect(isSameContent(content(undefined, [AMD]), content(DIGEST_B, [AMD]))).toBe(true);
    expect(isSameContent(content(undefined, [AMD]), content(DIGEST_B, [ARM]))).toBe(false);
  });
});
