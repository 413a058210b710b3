// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { isCostlyImage, isOwnVolume, ownName, partsOf, shortName } from '../../../lib/cleanup/plan.ts';

test('CLN-1: the same image in the words of docker and of podman', () => {
  const alpine = ['alpine:3', 'docker.io/library/alpine:3', 'index.docker.io/library/alpine:3', 'docker.io/alpine:3'];
  for (const name of alpine) expect([shortName(name), isCostlyImage(name)], name).toEqual(['alpine:3', true]);
  for (const name of ['openshell/gateway:dev', 'localhost/openshell/gateway:dev', 'docker.io/openshell/gateway:dev']) {
    expect([shortName(name), ownName(name)]).toEqual(['openshell/gateway:dev', 'gateway']);
  }
});

test.each([
  'openshell/sandbox-from:1700000000',
  '127.0.0.1:5000/openshell/gateway',
  'localhost:5000/openshell/gateway:x',
  'k3d-registry.localhost:5111/openshell/gateway:x',
  '[::1]:5000/openshell/gateway:x',
  'ghcr.io/nvidia/openshell/supervisor@sha256:ab',
])('%s is of OpenShell', (name) => expect(ownName(name)).toBeDefined());

test.each([
  'openshell',
  'openshell:1',
  'openshellfish/x:1',
  'me/openshell/x:1',
  'registry.example.com/openshell/gateway:1',
  'ghcr.io/nvidia/openshell-community/sandboxes/base:latest',
  'ghcr.io/nvidia/openshell',
  '127.0.0.1.example.com:5000/openshell/x',
])('%s is not known to be of OpenShell', (name) => expect(ownName(name)).toBeUndefined());

test.each([
  ['registry:2', true],
  ['registry.k8s.io/pause:3', false],
  ['rust:1', true],
  ['rustdesk/server:1', false],
  ['docker.io/rancher/k3s:v1', true],
  ['rancher/k3s-upgrade:1', false],
  ['kindest/node:v1', true],
  ['ghcr.io/astral-sh/uv:0.5', true],
  ['ghcr.io/astral-sh/uv@sha256:ab', true],
  ['ghcr.io/astral-sh/uvicorn:1', false],
  ['ghcr.io/nvidia/openshell-community/sandboxes/base:latest', true],
  ['example.com/alpine:3', false],
  ['pgvector/pgvector:pg16@sha256:ab', true],
] as const)('CLN-4: whether %s is costly to get again: %s', (name, isCostly) => {
  expect(isCostlyImage(name)).toBe(isCostly);
});

test.each([
  ['a:1', '1'],
  ['a', ''],
  ['127.0.0.1:5000/a', ''],
  ['127.0.0.1:5000/a:1', '1'],
  ['a@sha256:ab', ''],
  ['a:dev@sha256:ab', 'dev'],
])('the tag of %s is %j', (name, tag) => expect(partsOf(name).tag).toBe(tag));

test('volumes of OpenShell have its label, or its name as a whole word', () => {
  for (const name of ['openshell', 'openshell-x', 'openshell_data', 'openshell.x'])
    expect(isOwnVolume(name, [])).toBe(true);
  for (const name of ['openshellfish', 'my-openshell', '']) expect(isOwnVolume(name, [])).toBe(false);
  expect(isOwnVolume('x', ['openshell.ai/sandbox-id'])).toBe(true);
  expect(isOwnVolume('x', ['com.docker.compose.project', 'openshellfish'])).toBe(false);
});
