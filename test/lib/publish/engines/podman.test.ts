// SPDX-License-Identifier: Apache-2.0

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PODMAN_PUBLISHING } from '../../../../lib/publish/engines/podman.ts';
import { DIGEST_A, plannedLines, publishPlan } from '../../../support/publish-plan.ts';

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
])('plain HTTP to %s: %s', async (registry, isPlain) => {
  const lines = await plannedLines(publishPlan('podman', { DOCKER_REGISTRY: registry }));
  const remote = lines.filter((line) => line.includes('docker://'));
  // For each component two pushes of content, a list and a tag.
  expect(remote).toHaveLength(8);
  for (const line of remote) expect(line.includes(' --tls-verify=false '), line).toBe(isPlain);
});

describe('reading a reference', () => {
  const facts = { program: 'x', builder: undefined, hasSkopeo: true, localName: 'read-1:run' };
  const index = { manifests: [{ digest: DIGEST_A, platform: { os: 'linux', architecture: 'amd64' } }] };
  const images = [{ platform: 'linux/amd64', digest: DIGEST_A }];

  test("with skopeo: the digest is the hash of the registry's bytes", () => {
    const { commands, parse } = PODMAN_PUBLISHING.reading('127.0.0.1:5/n:t', facts);
    expect(commands).toEqual([['skopeo', 'inspect', '--raw', '--tls-verify=false', 'docker://127.0.0.1:5/n:t']]);
    const text = JSON.stringify(index);
    const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    expect(parse(text)).toEqual({ digest, images });
    expect(parse('{"config":{}}')?.images[0]?.platform).toBeUndefined();
    expect(parse('no JSON')).toBeUndefined();
  });

  test('podman alone: what the registry has, put on a list, and not what this machine has under the name', () => {
    const { commands, parse } = PODMAN_PUBLISHING.reading('r/n:t', { ...facts, hasSkopeo: false });
    const list = 'localhost/openshell-publish/read-1:run';
    expect(commands).toEqual([
      ['x', 'manifest', 'create', list],
      ['x', 'manifest', 'add', '--all', list, 'docker://r/n:t'],
      ['x', 'manifest', 'inspect', list],
    ]);
    expect(parse(JSON.stringify(index))).toEqual({ digest: undefined, images });
    expect(parse('{"manifests":null}')).toEqual({ digest: undefined, images: [] });
  });
});
