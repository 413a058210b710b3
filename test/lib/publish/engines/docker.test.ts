// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { DOCKER_PUBLISHING } from '../../../../lib/publish/engines/docker.ts';
import { DIGEST_A, DIGEST_B, plannedLines, publishPlan } from '../../../support/publish-plan.ts';

describe('reading a reference', () => {
  const facts = { program: 'x', builder: 'far', hasSkopeo: true, localName: 'n:run' };
  const { commands, parse } = DOCKER_PUBLISHING.reading('r/n:t', facts);
  const entry = { digest: DIGEST_A, platform: { os: 'linux', architecture: 'amd64' } };

  test('with the builder that publishes', () => {
    const inspect = ['x', 'buildx', 'imagetools', 'inspect'];
    const rest = ['--format', '{{json .Manifest}}', 'r/n:t'];
    expect(commands).toEqual([[...inspect, '--builder', 'far', ...rest]]);
    expect(DOCKER_PUBLISHING.reading('r/n:t', { ...facts, builder: undefined }).commands).toEqual([
      [...inspect, ...rest],
    ]);
  });

  test('an index, with attestations left out', () => {
    const attestation = { digest: DIGEST_B, platform: { os: 'unknown', architecture: 'unknown' } };
    expect(parse(JSON.stringify({ digest: DIGEST_B, manifests: [entry, attestation] }))).toEqual({
      digest: DIGEST_B,
      images: [{ platform: 'linux/amd64', digest: DIGEST_A }],
    });
  });

  test('an image that stands alone is known by its digest', () => {
    expect(parse(JSON.stringify({ digest: DIGEST_A, size: 7 }))).toEqual({
      digest: DIGEST_A,
      images: [{ platform: undefined, digest: DIGEST_A }],
    });
  });

  test.each(['{"digest":7}', 'no JSON', '{}', '[]'])('not a manifest: %s', (text) => {
    expect(parse(text)).toBeUndefined();
  });
});

test('without a builder none is named', async () => {
  for (const line of await plannedLines(publishPlan('docker'))) expect(line).not.toContain('--builder');
});
