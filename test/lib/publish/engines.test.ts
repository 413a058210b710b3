// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { plannedLines, publishPlan } from '../../support/publish-plan.ts';

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
