// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { DOCKER } from '../../../lib/engine/docker.ts';
import type { ImageBuild } from '../../../lib/engine/types.ts';

const BUILD: ImageBuild = {
  context: '/checkout',
  dockerfile: '/checkout/deploy/docker/Dockerfile.gateway',
  target: 'gateway',
  tags: ['r/gateway:dev'],
  platforms: ['linux/amd64', 'linux/arm64'],
  builder: 'b',
  caches: ['--cache-from', 'type=local,src=/cache'],
  secrets: ['id=T,env=T'],
  extra: ['--x', 'y'],
  output: { kind: 'push' },
};

test('one command: the options, then those of the user, the output, and the context at the end', () => {
  expect(DOCKER.buildCommands(BUILD)).toEqual([
    [
      ...['buildx', 'build', '--builder', 'b', '--platform', 'linux/amd64,linux/arm64'],
      ...['--cache-from', 'type=local,src=/cache', '--secret', 'id=T,env=T'],
      ...['-f', '/checkout/deploy/docker/Dockerfile.gateway', '--target', 'gateway', '-t', 'r/gateway:dev'],
      ...['--provenance=false', '--x', 'y', '--push', '/checkout'],
    ],
  ]);
});

test('what is not wanted gives no argument', () => {
  const build = { ...BUILD, builder: undefined, platforms: [], caches: [], secrets: [], target: undefined, extra: [] };
  expect(DOCKER.buildCommands({ ...build, output: { kind: 'load' } })).toEqual([
    [
      ...['buildx', 'build', '-f', '/checkout/deploy/docker/Dockerfile.gateway', '-t', 'r/gateway:dev'],
      ...['--provenance=false', '--load', '/checkout'],
    ],
  ]);
});

test('an output is passed on as it is', () => {
  const output = { kind: 'output', value: 'type=local,"dest=a,b"' } as const;
  expect(DOCKER.buildCommands({ ...BUILD, output })[0]?.slice(-3)).toEqual(['--output', output.value, '/checkout']);
});

test('a builder is inspected by its name, without one the chosen one', () => {
  expect(DOCKER.builderProbe('b')).toEqual(['buildx', 'inspect', 'b']);
  expect(DOCKER.builderProbe(undefined)).toEqual(['buildx', 'inspect']);
});
