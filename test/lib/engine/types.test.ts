// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { parseBuilderDriver } from '../../../lib/engine/buildx-builder.ts';
import { DOCKER } from '../../../lib/engine/docker.ts';
import { PODMAN } from '../../../lib/engine/podman.ts';
import { chooseEngine, engineWishes } from '../../../lib/engine/select.ts';
import { type ImageBuild, parseInfo, refusalIn } from '../../../lib/engine/types.ts';
import { resolveOutput } from '../../../lib/image/output.ts';
import { splitTags, verifyRegistry, verifyTag } from '../../../lib/image/reference.ts';

const BUILD: ImageBuild = {
  dockerfile: 'deploy/docker/Dockerfile.gateway',
  target: 'gateway',
  tags: ['r/gateway:dev'],
  platforms: ['linux/amd64'],
  builder: undefined,
  caches: [],
  secrets: [],
  extra: [],
  output: { kind: 'load' },
};

describe('which engine', () => {
  test.each<[string, Record<string, string>, string | undefined, readonly string[] | RegExp]>([
    ['explicit', { CONTAINER_ENGINE: 'Docker' }, undefined, ['docker']],
    ['e2e', { OPENSHELL_E2E_DRIVER: 'PODMAN' }, undefined, ['podman']],
    ['another driver asks for none', { OPENSHELL_E2E_DRIVER: 'vm' }, undefined, ['podman', 'docker']],
    ['k3d', { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' }, 'k3d-dev', ['docker']],
    [
      'kind with a provider',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster', KIND_EXPERIMENTAL_PROVIDER: 'podman' },
      'kind-dev',
      ['podman'],
    ],
    [
      'kind without',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'kind-dev',
      /names no engine; set CONTAINER_ENGINE or KIND_EXPERIMENTAL_PROVIDER/,
    ],
    ['no context', { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' }, '', /there is no current kube context/],
    [
      'another context',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'prod',
      /the kube context 'prod' names no engine/,
    ],
    [
      'CE-2: another context does not matter where something else decides',
      { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster', OPENSHELL_E2E_DRIVER: 'docker' },
      'prod',
      ['docker'],
    ],
    ['nothing', {}, undefined, ['podman', 'docker']],
    [
      'explicit against e2e',
      { CONTAINER_ENGINE: 'docker', OPENSHELL_E2E_DRIVER: 'podman' },
      undefined,
      /CONTAINER_ENGINE asks for docker, but OPENSHELL_E2E_DRIVER asks for podman/,
    ],
    [
      'explicit against cluster',
      { CONTAINER_ENGINE: 'podman', CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'k3d-x',
      /CONTAINER_ENGINE asks for podman, but kube context k3d-x asks for docker/,
    ],
    [
      'e2e against cluster',
      { OPENSHELL_E2E_DRIVER: 'podman', CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' },
      'k3d-x',
      /OPENSHELL_E2E_DRIVER asks for podman/,
    ],
    [
      'an unknown engine',
      { CONTAINER_ENGINE: 'nerdctl' },
      undefined,
      /CONTAINER_ENGINE is 'nerdctl'; allowed are docker and podman/,
    ],
    [
      'an unknown target',
      { CONTAINER_ENGINE_TARGET: 'Local-K8s' },
      undefined,
      /CONTAINER_ENGINE_TARGET is 'Local-K8s'; allowed is local-k8s-cluster/,
    ],
    [
      'the removed variable',
      { OPENSHELL_E2E_CONTAINER_ENGINE: 'docker' },
      undefined,
      /OPENSHELL_E2E_CONTAINER_ENGINE is no longer read; set CONTAINER_ENGINE instead/,
    ],
  ])('%s', (_, env, context, expected) => {
    const choose = () => chooseEngine(engineWishes(env), context).candidates;
    if (expected instanceof RegExp) expect(choose).toThrow(expected);
    else expect(choose()).toEqual(expected);
  });
});

describe('what an engine says', () => {
  const own = { isPodmanServer: false, storesIndexes: false };

  test.each([
    ['{"Architecture":"aarch64","ServerVersion":"28"}', { engine: 'docker', arch: 'aarch64', version: '28', ...own }],
    [
      '{"host":{"arch":"amd64"},"version":{"Version":"5"}}',
      { engine: 'podman', arch: 'amd64', version: '5', isPodmanServer: true, storesIndexes: false },
    ],
    ['docker version 28', undefined],
    ['[]', undefined],
    ['{}', undefined],
    ['null', undefined],
  ])('%s', (text, info) => {
    expect(parseInfo(text)).toEqual(info);
  });

  test("docker's client with podman on the other end of its socket", () => {
    const text = JSON.stringify({ ServerVersion: '4.3.1', DockerRootDir: '/home/me/.local/share/containers/storage' });
    expect(parseInfo(text)).toMatchObject({ engine: 'docker', isPodmanServer: true });
  });

  test("a store that takes images of several platforms is containerd's", () => {
    const driver = [['driver-type', 'io.containerd.snapshotter.v1']];
    expect(parseInfo(JSON.stringify({ ServerVersion: '29', DriverStatus: driver }))?.storesIndexes).toBe(true);
  });

  test('C8: docker 20.10 says with status 0 that it has no daemon', () => {
    const said = '{"ServerErrors":["Cannot connect to the Docker daemon. Is it running?"],"ClientInfo":{}}';
    expect(refusalIn(said)).toBe('Cannot connect to the Docker daemon. Is it running?');
    expect(parseInfo(said)).toBeUndefined();
    for (const text of ['{"ServerVersion":"28"}', '{"ServerErrors":[]}', 'Cannot connect']) {
      expect(refusalIn(text)).toBeUndefined();
    }
  });

  test('H1: the driver of a builder, however the column is padded', () => {
    expect(parseBuilderDriver('Name: x\nDriver: docker-container\n')).toBe('docker-container');
    expect(parseBuilderDriver('Name:          x\nDriver:        docker-container\nLast Activity: 1h\n')).toBe(
      'docker-container',
    );
    expect(parseBuilderDriver('nothing')).toBeUndefined();
  });
});

describe('build words', () => {
  test('docker', () => {
    const build = {
      ...BUILD,
      builder: 'b',
      platforms: ['linux/amd64', 'linux/arm64'],
      secrets: ['id=T,env=T'],
      extra: ['--x', 'y'],
      output: { kind: 'push' } as const,
    };
    expect(DOCKER.buildCommands(build)).toEqual([
      [
        'buildx',
        'build',
        '--builder',
        'b',
        '--platform',
        'linux/amd64,linux/arm64',
        '--secret',
        'id=T,env=T',
        '-f',
        'deploy/docker/Dockerfile.gateway',
        '--target',
        'gateway',
        '-t',
        'r/gateway:dev',
        '--provenance=false',
        '--x',
        'y',
        '--push',
        '.',
      ],
    ]);
  });

  test('podman pushes with a command of its own, and has no load', () => {
    expect(PODMAN.buildCommands({ ...BUILD, output: { kind: 'push' } })).toEqual([
      [
        'build',
        '--platform',
        'linux/amd64',
        '-f',
        'deploy/docker/Dockerfile.gateway',
        '--target',
        'gateway',
        '-t',
        'r/gateway:dev',
        '.',
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
    const words = PODMAN.buildCommands({ ...BUILD, extra })[0] ?? [];
    expect(words.slice(words.indexOf('r/gateway:dev') + 1)).toEqual([...kept, '.']);
  });

  test('podman refuses several platforms', () => {
    expect(() => PODMAN.buildCommands({ ...BUILD, platforms: ['linux/amd64', 'linux/arm64'] })).toThrow(
      /podman builds one platform at a time/,
    );
  });
});

describe('names', () => {
  test.each(['dev', '1.2.3', '_x', 'a'.repeat(128), 'v1_2-3.4'])('tag %s', (tag) => {
    expect(verifyTag('T', tag)).toBe(tag);
  });

  test.each([':', '*', '', ' ', 'a b', '.x', '-x', 'a'.repeat(129), 'a/b', 'a\n'])('no tag: %j', (tag) => {
    expect(() => verifyTag('T', tag)).toThrow(/^T is '/);
  });

  test.each(['ghcr.io/org', '127.0.0.1:5000', 'localhost:5000/a/b', 'registry', '[::1]:5000/x', 'Example.COM/x'])(
    'registry %s',
    (registry) => {
      expect(verifyRegistry('R', registry)).toBe(registry);
    },
  );

  test.each([
    'https://ghcr.io',
    'ghcr.io/',
    'ghcr.io/Org',
    'a b',
    'x:notaport/y',
    'x//y',
    ':5000',
    'ghcr.io/org:tag/x',
  ])('no registry: %j', (registry) => {
    expect(() => verifyRegistry('R', registry)).toThrow(/^R is '/);
  });

  test('H8: tags are split and checked, never expanded', () => {
    expect(splitTags('T', 'v1, v1.2  latest,v1')).toEqual(['v1', 'v1.2', 'latest']);
    expect(() => splitTags('T', 'v1,Cargo*')).toThrow(/T is 'Cargo\*'/);
  });
});

describe('outputs', () => {
  test.each([
    ['type=local,dest=out', 'type=local,dest=/start/out'],
    ['type=local,dest=/abs', 'type=local,dest=/abs'],
    ['type=tar,dest=-', 'type=tar,dest=-'],
    ['type=local, "dest=a,b"', 'type=local,"dest=/start/a,b"'],
    ['"type=local","dest=say ""hi"""', 'type=local,"dest=/start/say ""hi"""'],
    ['type=image,name=r/x,push=false', 'type=image,name=r/x,push=false'],
  ])('%s', (text, resolved) => {
    expect(resolveOutput('DOCKER_OUTPUT', text, '/start')).toBe(resolved);
  });

  test.each(['out', 'type', 'dest=x', 'type=local,', ',', 'type=local,"dest=x', 'type=local,dest="x"y'])(
    'no output: %s',
    (text) => {
      expect(() => resolveOutput('DOCKER_OUTPUT', text, '/start')).toThrow(
        /DOCKER_OUTPUT is '.*allowed are key=value pairs with a type/,
      );
    },
  );
});
