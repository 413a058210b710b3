// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { DOCKER } from '../../../lib/engine/docker.ts';
import { PODMAN } from '../../../lib/engine/podman.ts';
import type { Engine } from '../../../lib/engine/types.ts';
import { resolveImageConfig } from '../../../lib/image/config.ts';
import { cacheOptions, imageCommands } from '../../../lib/image/plan.ts';

const ENGINE: Engine = {
  record: DOCKER,
  program: 'docker',
  reason: 'it responds',
  info: { engine: 'docker', arch: 'x86_64', storesIndexes: false },
};

test('the build is of the checkout, by absolute paths, and runs where the user is', () => {
  const env = { DOCKER_BUILDER: 'b', DOCKER_OUTPUT: 'type=local,dest=out', DOCKER_PLATFORM: 'linux/amd64,linux/arm64' };
  const { image } = resolveImageConfig('gateway', ['-t', 'x', '--secret', 'src=token'], env, '/root', '/start');
  expect(image).toEqual({
    context: '/root',
    dockerfile: '/root/deploy/docker/Dockerfile.gateway',
    target: 'gateway',
    tags: ['openshell/gateway:dev', 'x'],
    platforms: ['linux/amd64', 'linux/arm64'],
    builder: 'b',
    caches: [],
    secrets: [],
    extra: ['--secret', 'src=token'],
    output: { kind: 'output', value: 'type=local,dest=out' },
  });
  const commands = imageCommands(ENGINE, image, '/start');
  expect(commands.map(({ cwd }) => cwd)).toEqual(['/start']);
  expect(commands[0]?.argv.slice(-5)).toEqual(['--secret', 'src=token', '--output', 'type=local,dest=out', '/root']);
});

test.each([
  ['/a', 'src=/a', 'dest=/a'],
  ['/ca, che', '"src=/ca, che"', '"dest=/ca, che"'],
  ['say "hi"', '"src=say ""hi"""', '"dest=say ""hi"""'],
  ['/two\nlines', '"src=/two\nlines"', '"dest=/two\nlines"'],
])('a cache in the directory %j is read before the build and replaced after it', (directory, src, dest) => {
  expect(cacheOptions('docker-container', directory)).toEqual([
    ...['--cache-from', `type=local,${src}`],
    ...['--cache-to', `type=local,${dest},mode=max`],
  ]);
});

test('no other builder has such a cache, and where the builder is unknown a mark stands for it', () => {
  for (const driver of ['docker', 'remote', undefined]) expect(cacheOptions(driver, '/a')).toEqual([]);
  expect(cacheOptions('docker-container', undefined)).toEqual([]);
  expect(cacheOptions('<cache options: docker not reachable>', '/a')).toEqual([
    '<cache options: docker not reachable>',
  ]);
});

test('a build by podman ends by the signal at which it cleans up', () => {
  const { image } = resolveImageConfig('gateway', [], {}, '/root', '/start');
  expect(imageCommands({ ...ENGINE, record: PODMAN }, image, '/')[0]?.endedBy).toBe('SIGHUP');
  expect(imageCommands(ENGINE, image, '/')[0]?.endedBy).toBeUndefined();
});
