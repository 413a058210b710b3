// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { readOptions, resolveBuilder, resolveDestination, resolveImageConfig } from '../../../lib/image/config.ts';
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
  [{ DOCKER_BUILDER: 'a', BUILDX_BUILDER: 'b' }, undefined, { name: 'a', source: 'DOCKER_BUILDER' }],
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
    expect(refusalOf(() => of(text))).toMatch(/DOCKER_OUTPUT is '.*and no dest=-, as type=local/);
  });
});

describe("the user's options", () => {
  test.each([
    [['--builder', 'b', '--pull'], { builder: 'b', rest: ['--pull'] }],
    [['--builder=a', '--builder', 'b'], { builder: 'b', rest: [] }],
    [['-tx', '-t=y', '-t', 'z', '--tag=w'], { tags: ['x', 'y', 'z', 'w'], rest: [] }],
    [['--file=a', '-f', 'b'], { dockerfile: 'b', rest: [] }],
    [['--target', 't', '--build-arg', 'A=b'], { target: 't', rest: ['--build-arg', 'A=b'] }],
    [['--build-arg=A', '-q', '--network', 'none'], { rest: ['--build-arg=A', '-q', '--network', 'none'] }],
    [['--label', '-x'], { rest: ['--label', '-x'] }],
    [['--tagged', 'x'], { tags: [], rest: ['--tagged', 'x'] }],
    [[], { builder: undefined, dockerfile: undefined, target: undefined, tags: [], rest: [] }],
  ])('%j', (args, expected) => {
    expect(readOptions(args)).toMatchObject(expected);
  });

  test.each([
    [['x'], "2: 'x' is neither an option of the build command nor the value of one; write a value as --option=VALUE"],
    [['--pull', 'x', 'y'], "2: 'y' is neither"],
    [['--a=b', 'x'], "2: 'x' is neither"],
    [['--builder', 'b', 'x'], "2: 'x' is neither"],
    [['-'], "2: '-' is neither"],
    [['--tag='], '2: --tag needs a value: --tag VALUE'],
    [['-f'], '2: -f needs a value: -f VALUE'],
    [['--push=false'], "2: '--push=false' cannot be passed on; where the image goes is said by"],
    [['-o', 'x'], "2: '-o' cannot be passed on; where the image goes is said by"],
    [['--iidfile', 'x'], "2: '--iidfile' cannot be passed on; "],
    [['--platform=linux/amd64'], "2: '--platform=linux/amd64' cannot be passed on; the platforms"],
  ])('%j', (args, expected) => {
    expect(refusalOf(() => readOptions(args)).startsWith(expected)).toBe(true);
  });
});
