// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { type Content, contentIn, isSameContent, PUBLISHING } from '../../../lib/publish/engines.ts';
import { DIGEST_A, DIGEST_B, plannedLines, publishPlan } from '../../support/publish-plan.ts';

const AMD = { platform: 'linux/amd64', digest: DIGEST_A };
const ARM = { platform: 'linux/arm64', digest: DIGEST_B };

test.each([
  ['127.0.0.1:5000/org', true],
  ['127.9.9.9/org', true],
  ['localhost/org', true],
  ['localhost:80', true],
  ['[::1]:5000/org', true],
  ['ghcr.io/org', false],
  ['10.0.0.1:5000/org', false],
  ['localhost.example.com/org', false],
  ['127.0.0.1.example.com/org', false],
])('podman: plain HTTP to %s: %s', async (registry, isPlain) => {
  const lines = await plannedLines(publishPlan('podman', { DOCKER_REGISTRY: registry }));
  const remote = lines.filter((line) => line.includes('docker://'));
  // For each component two pushes of content, a list and a tag.
  expect(remote).toHaveLength(8);
  for (const line of remote) expect(line.includes(' --tls-verify=false '), line).toBe(isPlain);
});

test('docker: without a builder none is named', async () => {
  for (const line of await plannedLines(publishPlan('docker'))) expect(line).not.toContain('--builder');
});

describe('the commands that read a reference', () => {
  test('docker: with the builder that publishes', () => {
    const inspect = ['x', 'buildx', 'imagetools', 'inspect'];
    const rest = ['--format', '{{json .Manifest}}', 'r/n:t'];
    const { reading } = PUBLISHING.docker;
    expect(reading('x', 'far', 'r/n:t', 'n:run')).toEqual([[...inspect, '--builder', 'far', ...rest]]);
    expect(reading('x', undefined, 'r/n:t', 'n:run')).toEqual([[...inspect, ...rest]]);
  });

  test('podman: what the registry has, put on a list, and not what this machine has under the name', () => {
    const list = 'localhost/openshell-publish/read-1:run';
    expect(PUBLISHING.podman.reading('x', undefined, 'localhost:5/n:t', 'read-1:run')).toEqual([
      ['x', 'manifest', 'create', list],
      ['x', 'manifest', 'add', '--all', '--tls-verify=false', list, 'docker://localhost:5/n:t'],
      ['x', 'manifest', 'inspect', list],
    ]);
  });
});

describe('the content of a manifest', () => {
  const imagesIn = (manifests: unknown, digest = DIGEST_B) => contentIn(JSON.stringify({ manifests, digest }))?.images;

  test('an index, with entries left out that are not images', () => {
    const entry = { digest: DIGEST_A, platform: { os: 'linux', architecture: 'amd64' } };
    const attestation = { digest: DIGEST_B, platform: { os: 'unknown', architecture: 'unknown' } };
    expect(imagesIn([entry, attestation])).toEqual([AMD]);
    expect(imagesIn([{ digest: DIGEST_A }, { platform: { os: 'linux', architecture: 'arm64' } }])).toEqual([
      { platform: undefined, digest: DIGEST_A },
    ]);
    expect(contentIn(JSON.stringify({ manifests: [entry] }))).toEqual({ digest: undefined, images: [AMD] });
  });

  test('AL-1: entries that are none at all', () => {
    expect(imagesIn([null, 1, 'x', { digest: DIGEST_A, platform: 7 }])).toEqual([
      { platform: undefined, digest: DIGEST_A },
    ]);
  });

  test('an image that stands alone is known by its digest', () => {
    expect(contentIn(JSON.stringify({ digest: DIGEST_A, size: 7 }))).toEqual({
      digest: DIGEST_A,
      images: [{ platform: undefined, digest: DIGEST_A }],
    });
  });

  test.each(['{"digest":7}', 'no JSON', '{}', '[]'])('not a manifest: %s', (text) => {
    expect(contentIn(text)).toBeUndefined();
  });
});

test('contents are compared by digest where both are known, else by images in any order', () => {
  const content = (digest: string | undefined, images: Content['images']): Content => ({ digest, images });
  expect(isSameContent(content(DIGEST_A, [AMD]), content(DIGEST_A, []))).toBe(true);
  expect(isSameContent(content(DIGEST_A, [AMD]), content(DIGEST_B, [AMD]))).toBe(false);
  expect(isSameContent(content(undefined, [AMD]), content(DIGEST_B, [AMD]))).toBe(true);
  expect(isSameContent(content(undefined, [AMD]), content(DIGEST_B, [ARM]))).toBe(false);
  expect(isSameContent(content(undefined, [AMD, ARM]), content(undefined, [ARM, AMD]))).toBe(true);
  expect(isSameContent(content(undefined, [AMD]), content(undefined, [AMD, ARM]))).toBe(false);
});
