// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { resolveBuilder, resolveDestination, resolveImageConfig } from '../../../lib/image/config.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('an image', () => {
  test('an architecture, a tag and a registry can be given', () => {
    const env = { DOCKER_PLATFORM: 'linux/arm64', IMAGE_TAG: 'x', IMAGE_REGISTRY: 'ghcr.io/org' };
    expect(resolveImageConfig('gateway', [], env, '/root', '/start')).toMatchObject({
      component: { name: 'gateway' },
      reference: 'ghcr.io/org/gateway:x',
      arches: ['arm64'],
      image: { platforms: ['linux/arm64'] },
    });
  });

  test('without them it is the local name, and the architecture is that of the engine', () => {
    expect(resolveImageConfig('supervisor-output', [], {}, '/root', '/start')).toMatchObject({
      component: { name: 'supervisor' },
      reference: 'openshell/supervisor:dev',
      image: {
        context: '/root',
        tags: ['openshell/supervisor:dev'],
        target: 'supervisor',
        dockerfile: '/root/deploy/docker/Dockerfile.supervisor',
        platforms: [],
        builder: undefined,
        output: { kind: 'load' },
      },
      cacheDirectory: '/root/.cache/buildkit/images/supervisor',
      arches: undefined,
      isStaged: true,
      build: { libc: 'musl', features: [], version: undefined },
    });
  });

  test('H28, L11: what is relative is relative to where the task was started', () => {
    const env = { DOCKER_BUILD_CACHE_DIR: 'cache', CARGO_TARGET_DIR: 'target' };
    const config = resolveImageConfig(
      'gateway',
      ['-f', 'Mine', '--target', 'other', '-t', 'x/y:1'],
      env,
      '/root',
      '/start',
    );
    expect(config).toMatchObject({
      image: { dockerfile: '/start/Mine', target: 'other', tags: ['openshell/gateway:dev', 'x/y:1'] },
      cacheDirectory: '/start/cache/images/gateway',
      build: { targetDirectory: '/start/target' },
    });
  });
});

test.each([
  [{}, undefined, undefined],
  [{ DOCKER_BUILDER: 'a' }, undefined, { name: 'a', source: 'DOCKER_BUILDER' }],
  [{ DOCKER_BUILDER: 'a', BUILDX_BUILDER: 'b' }, 'a', { name: 'a', source: 'DOCKER_BUILDER' }],
  [{ BUILDX_BUILDER: 'b' }, undefined, { name: 'b', source: 'BUILDX_BUILDER' }],
  [{ DOCKER_BUILDER: '', BUILDX_BUILDER: 'b' }, 'my.ctx+1', { name: 'my.ctx+1', source: '--builder' }],
])('R15: the builder of %j and %s is %j', (env, builder, expected) => {
  expect(resolveBuilder(env, { builder })).toEqual(expected);
});

test('where the image goes', () => {
  const of = (env: Record<string, string>, arches: ('amd64' | 'arm64')[] | undefined = undefined, takes = true) =>
    resolveDestination(env, arches, takes);
  expect(of({})).toEqual({ kind: 'load' });
  expect(of({ DOCKER_PUSH: 'yes' }, ['amd64', 'arm64'])).toEqual({ kind: 'push' });
  expect(of({ DOCKER_OUTPUT: 'type=oci,dest=x' }, ['amd64', 'arm64'])).toEqual({
    kind: 'output',
    value: 'type=oci,dest=x',
  });
  expect(of({ DOCKER_OUTPUT: 'no pairs' }, ['amd64'], false)).toEqual({ kind: 'load' });
  expect(refusalOf(() => of({}, ['amd64', 'arm64'], false))).not.toContain('DOCKER_OUTPUT');
});

describe('DOCKER_OUTPUT', () => {
  const of = (DOCKER_OUTPUT: string) => resolveDestination({ DOCKER_OUTPUT }, undefined, true);

  test.each([
    'type=local,dest=out',
    'type=local, dest=out',
    'type=local,"dest=a,b"',
    '"type=local","dest=say ""hi"""',
    'dest=out,type=oci',
  ])('%s is passed on as it is', (value) => {
    expect(of(value)).toEqual({ kind: 'output', value });
  });

  test.each(['out', 'type', 'dest=x', ',', 'type=,dest=x'])('not an output: %s', (text) => {
    expect(refusalOf(() => of(text))).toMatch(/DOCKER_OUTPUT is '.*allowed are key=value pairs with a type/);
  });

  test.each(['type=tar,dest=-', 'dest=-,type=oci', 'type=oci,"dest=-"'])('not to stdout: %s', (text) => {
    expect(refusalOf(() => of(text))).toMatch(/stdout has the result of the task/);
  });
});
