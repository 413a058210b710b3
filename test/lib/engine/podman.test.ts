// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { PODMAN } from '../../../lib/engine/podman.ts';
import type { ImageBuild } from '../../../lib/engine/types.ts';

const MACHINE = '/home/me/.local/share/containers/podman/machine/podman.sock';

const BUILD: ImageBuild = {
  context: '/checkout',
  dockerfile: '/checkout/deploy/docker/Dockerfile.gateway',
  target: 'gateway',
  tags: ['r/gateway:dev'],
  platforms: ['linux/amd64'],
  builder: undefined,
  caches: [],
  secrets: [],
  extra: [],
  output: { kind: 'load' },
};

test('podman pushes with a command of its own, and has no load', () => {
  expect(PODMAN.buildCommands({ ...BUILD, output: { kind: 'push' } })).toEqual([
    [
      ...['build', '--platform', 'linux/amd64', '-f', '/checkout/deploy/docker/Dockerfile.gateway'],
      ...['--target', 'gateway', '-t', 'r/gateway:dev', '/checkout'],
    ],
    ['push', 'r/gateway:dev'],
  ]);
  expect(PODMAN.buildCommands(BUILD)).toHaveLength(1);
  const local = { ...BUILD, tags: ['127.0.0.1:5000/x:1', 'localhost/y:1', '127.0.0.1.example/z:1'] };
  expect(PODMAN.buildCommands({ ...local, output: { kind: 'push' } }).slice(1)).toEqual([
    ['push', '--tls-verify=false', '127.0.0.1:5000/x:1'],
    ['push', '--tls-verify=false', 'localhost/y:1'],
    ['push', '127.0.0.1.example/z:1'],
  ]);
});

test.each([
  [['--provenance', 'false'], []],
  [['--provenance=false'], []],
  [['--provenance', '--pull'], ['--pull']],
  [['--builder', 'b', '--pull'], ['--pull']],
  [['--builder=b'], []],
  [
    ['--cache-from', 'type=gha'],
    ['--cache-from', 'type=gha'],
  ],
])('L8: of %j podman gets %j', (extra, kept) => {
  const args = PODMAN.buildCommands({ ...BUILD, extra })[0] ?? [];
  expect(args.slice(args.indexOf('r/gateway:dev') + 1)).toEqual([...kept, '/checkout']);
});

test('an output is passed on as it is, and a secret by its name', () => {
  const output = { kind: 'output', value: 'type=local,"dest=a,b"' } as const;
  const args = PODMAN.buildCommands({ ...BUILD, output, secrets: ['id=T,env=T'] })[0] ?? [];
  expect(args.slice(-3)).toEqual(['--output', output.value, '/checkout']);
  expect(args.join(' ')).toContain('--secret id=T,env=T');
});

test('podman refuses several platforms', () => {
  expect(() => PODMAN.buildCommands({ ...BUILD, platforms: ['linux/amd64', 'linux/arm64'] })).toThrow(
    /podman builds one platform at a time/,
  );
});

test('it has no builders', () => {
  expect(PODMAN.builderProbe('b')).toBeUndefined();
});

test.each<[Record<string, string>, object]>([
  [
    { XDG_RUNTIME_DIR: '/run/x', HOME: '/home/me' },
    { sockets: ['/run/x/podman/podman.sock', '/run/user/7/podman/podman.sock', MACHINE] },
  ],
  [{ XDG_RUNTIME_DIR: 'run' }, { sockets: ['/run/user/7/podman/podman.sock'] }],
  [{ OPENSHELL_PODMAN_SOCKET: '', HOME: '/home/me' }, { sockets: ['/run/user/7/podman/podman.sock', MACHINE] }],
  [
    { OPENSHELL_PODMAN_SOCKET: 'a.sock', CONTAINER_HOST: 'ssh://far', XDG_RUNTIME_DIR: '/run/x' },
    { sockets: ['/start/a.sock'], source: 'OPENSHELL_PODMAN_SOCKET' },
  ],
  [
    { CONTAINER_HOST: 'unix:///p.sock', HOME: '/home/me' },
    { sockets: ['/p.sock'], source: 'CONTAINER_HOST' },
  ],
  [
    { CONTAINER_HOST: 'ssh://me@far/run/p.sock' },
    {
      said: expect.stringMatching(/^CONTAINER_HOST leads to 'ssh:\/\/me@far\/run\/p.sock', and/),
      remedy: 'change or unset CONTAINER_HOST',
      source: 'CONTAINER_HOST',
    },
  ],
])('R3: the sockets of %j', (env, places) => {
  const facts = { env, platform: 'linux', uid: 7, startDirectory: '/start', printed: undefined } as const;
  expect(PODMAN.api.places(facts)).toEqual(places);
});
