// SPDX-License-Identifier: Apache-2.0

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  currentChoice,
  foreignPlatforms,
  namedChoice,
  parseBuilder,
  parseRefusal,
} from '../../../lib/publish/builder.ts';
import { isLeftover, runWord } from '../../../lib/publish/cleanup.ts';
import { resolvePublishConfig } from '../../../lib/publish/config.ts';
import { DOCKER_PUBLISHING } from '../../../lib/publish/engines/docker.ts';
import { PODMAN_PUBLISHING } from '../../../lib/publish/engines/podman.ts';
import { digestText, listedImages, type PublishedImage, type Reading } from '../../../lib/publish/engines/types.ts';
import { planPublish } from '../../../lib/publish/plan.ts';
import { classify, isAt, isSameImages } from '../../../lib/publish/registry.ts';
import { stateOf, tableLines } from '../../../lib/publish/report.ts';

const A = `sha256:${'a'.repeat(64)}`;
const B = `sha256:${'b'.repeat(64)}`;
const AMD = { platform: 'linux/amd64', digest: A };
const ARM = { platform: 'linux/arm64', digest: B };
const NO_BUILDER = { name: undefined, driver: undefined, platforms: [], creation: undefined, note: undefined };

function configOf(env: Record<string, string> = {}) {
  return resolvePublishConfig([], { DOCKER_REGISTRY: '127.0.0.1:5000/org', ...env }, '/src', '/src');
}

describe('the configuration', () => {
  test('defaults', () => {
    expect(configOf()).toEqual({
      root: '/src',
      registry: '127.0.0.1:5000/org',
      tags: ['dev'],
      arches: ['amd64', 'arm64'],
      builder: undefined,
      epoch: 0,
      cacheDirectory: '/src/.cache/buildkit/images',
      isStaged: true,
      isCi: false,
      extra: [],
      ignored: [],
    });
  });

  test.each<[Record<string, string>, string[]]>([
    [{ IMAGE_TAG: 'v1' }, ['v1']],
    [{ EXTRA_DOCKER_TAGS: 'b, a\tb,,dev' }, ['dev', 'b', 'a']],
    [{ EXTRA_DOCKER_TAGS: 'latest', TAG_LATEST: '1' }, ['dev', 'latest']],
    [{ IMAGE_TAG: 'latest', TAG_LATEST: '1' }, ['latest']],
  ])('tags of %j, each once, the main one first', (env, tags) => {
    expect(configOf(env).tags).toEqual(tags);
  });
});

describe('the plan', () => {
  test('a new tag for both components before the next one', () => {
    const plan = planPublish(configOf({ EXTRA_DOCKER_TAGS: 'v1' }), 'docker', NO_BUILDER, 'run', '/tmp');
    expect(plan.tags.map(({ reference }) => reference.replace('127.0.0.1:5000/org/', ''))).toEqual([
      'gateway:dev',
      'supervisor:dev',
      'gateway:v1',
      'supervisor:v1',
    ]);
    expect(plan.platforms).toEqual([]);
  });

  test('it is data: the same for the same question', () => {
    const plan = (engine: 'docker' | 'podman') => planPublish(configOf(), engine, NO_BUILDER, 'run', '/tmp');
    expect(plan('docker')).toEqual(plan('docker'));
    expect(JSON.stringify(plan('podman'))).toContain('{"lead":"docker://127.0.0.1:5000/org/gateway@","slot":');
  });

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
  ])('podman: plain HTTP to %s: %s', (registry, isPlain) => {
    const { platforms, tags, assemblies } = planPublish(
      configOf({ DOCKER_REGISTRY: registry }),
      'podman',
      NO_BUILDER,
      'run',
      '/tmp',
    );
    const pushes = [...platforms, ...tags].map(({ step }) => step);
    for (const { words } of [...pushes, ...assemblies.flatMap(({ steps }) => steps.slice(1))]) {
      expect(words.includes('--tls-verify=false')).toBe(isPlain);
    }
  });
});

describe('reading a reference', () => {
  const facts = { program: 'x', builder: 'far', hasSkopeo: true, isIndex: true, localName: 'read-1:run' };
  const index = { manifests: [{ digest: A, platform: { os: 'linux', architecture: 'amd64' } }] };

  test('docker: an index, with attestations left out', () => {
    const { commands, parse } = DOCKER_PUBLISHING.reading('r/n:t', facts);
    expect(commands).toEqual([
      ['x', 'buildx', 'imagetools', 'inspect', '--builder', 'far', '--format', '{{json .Manifest}}', 'r/n:t'],
    ]);
    const attestation = { digest: B, platform: { os: 'unknown', architecture: 'unknown' } };
    const text = JSON.stringify({ digest: B, manifests: [...index.manifests, attestation] });
    expect(parse(text)).toEqual({ digest: B, images: [AMD] });
    expect(parse('{"digest":7}')).toBeUndefined();
    expect(parse('no JSON')).toBeUndefined();
  });

  test('docker: an image that stands alone has its platform in its configuration', () => {
    const { parse } = DOCKER_PUBLISHING.reading('r/n:t', { ...facts, isIndex: false });
    const text = JSON.stringify({ manifest: { digest: A }, image: { os: 'linux', architecture: 'amd64' } });
    expect(parse(text)).toEqual({ digest: A, images: [AMD] });
    expect(parse('{}')).toBeUndefined();
  });

  test("podman with skopeo: the digest is the hash of the registry's bytes", () => {
    const { commands, parse } = PODMAN_PUBLISHING.reading('127.0.0.1:5/n:t', facts);
    expect(commands).toEqual([['skopeo', 'inspect', '--raw', '--tls-verify=false', 'docker://127.0.0.1:5/n:t']]);
    const text = JSON.stringify(index);
    const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    expect(parse(text)).toEqual({ digest, images: [AMD] });
    expect(parse('{"config":{}}')?.images[0]?.platform).toBeUndefined();
  });

  test('podman alone: what the registry has, put on a list, and not what this machine has under the name', () => {
    const { commands, leaves, parse } = PODMAN_PUBLISHING.reading('r/n:t', { ...facts, hasSkopeo: false });
    const list = 'localhost/openshell-publish/read-1:run';
    expect(commands).toEqual([
      ['x', 'manifest', 'create', list],
      ['x', 'manifest', 'add', '--all', list, 'docker://r/n:t'],
      ['x', 'manifest', 'inspect', list],
    ]);
    expect(leaves).toEqual([list]);
    expect(parse(JSON.stringify(index))).toEqual({ digest: undefined, images: [AMD] });
  });

  test.each([
    ['ERROR: ghcr.io/org/x:dev: not found', 'absent'],
    ['reading manifest dev in r/x: manifest unknown: manifest unknown', 'absent'],
    ['name unknown: repository name not known to registry', 'absent'],
    ['error getting credentials - err: exec: "docker-credential-x": executable file not found in $PATH', 'failed'],
    ['pull access denied, repository does not exist or may require authorization: no basic auth credentials', 'failed'],
    ['unauthorized: authentication required', 'failed'],
    ['unexpected status from HEAD request to https://r/v2/: 401 Unauthorized', 'failed'],
    ['unexpected status from HEAD request to https://r/v2/: 403 Forbidden', 'forbidden'],
    ['pull access denied, repository does not exist: insufficient_scope: authorization failed', 'forbidden'],
    ['unauthorized: access to the requested resource is not authorized', 'forbidden'],
    ['dial tcp: lookup r: no such host', 'failed'],
    ['no answer from docker within 60.0 s', 'failed'],
  ])('%s: %s', (reason, kind) => {
    expect(classify(reason).kind).toBe(kind);
  });
});

describe('comparing', () => {
  test('lists of images, in any order; a platform that is not known fits any', () => {
    expect(isSameImages([AMD, ARM], [ARM, AMD])).toBe(true);
    expect(isSameImages([AMD], [AMD, ARM])).toBe(false);
    expect(isSameImages([AMD], [{ ...AMD, digest: B }])).toBe(false);
    expect(isSameImages([AMD], [{ platform: undefined, digest: A }])).toBe(true);
    expect(isSameImages([AMD], [{ ...AMD, platform: 'linux/arm64' }])).toBe(false);
  });

  test('by digest where both are known, else by images', () => {
    const at = (digest: string | undefined, images: Reading['images']): Reading => ({ digest, images });
    expect(isAt(at(A, [AMD]), at(A, []))).toBe(true);
    expect(isAt(at(A, [AMD]), at(B, [AMD]))).toBe(false);
    expect(isAt(at(undefined, [AMD]), at(B, [AMD]))).toBe(true);
    expect(isAt(at(undefined, [AMD]), at(B, [ARM]))).toBe(false);
  });

  test('what became of a reference', () => {
    const now: Reading = { digest: A, images: [AMD] };
    expect(stateOf({ kind: 'absent' }, now)).toBe('new');
    expect(stateOf({ kind: 'there', reading: now }, now)).toBe('unchanged');
    expect(stateOf({ kind: 'there', reading: { ...now, digest: B } }, now)).toBe('moved');
    expect(stateOf({ kind: 'forbidden', reason: '' }, now)).toBe('moved');
  });

  test('the table', () => {
    const row = {
      component: 'gateway',
      reference: 'r/gateway:dev',
      digest: A,
      platforms: ['linux/amd64', 'linux/arm64'],
    };
    expect(tableLines([{ ...row, state: 'new' }])).toEqual([
      `component  reference      digest${' '.repeat(67)}platforms                state`,
      `gateway    r/gateway:dev  ${A}  linux/amd64,linux/arm64  new`,
    ]);
  });
});

describe('what engines write', () => {
  test.each([
    [`${A}\n`, A],
    [A, A],
    ['', undefined],
    ['sha256:abc', undefined],
    [`${A} ${B}`, undefined],
  ])('a file with %j', (text, digest) => {
    expect(digestText(text)).toBe(digest);
  });

  test("buildx's metadata", () => {
    const image = { name: 'x', repository: 'r/x', platforms: [], build: { extra: [], caches: [], secrets: [] } };
    const [step] = DOCKER_PUBLISHING.build({ ...image, scratch: '/s', epoch: 0 } as unknown as PublishedImage);
    expect(step?.gives?.read(`{"containerimage.digest":"${A}"}`)).toBe(A);
    expect(step?.gives?.read('{}')).toBeUndefined();
    expect(step?.gives?.read('<html>')).toBeUndefined();
  });

  test('entries of an index that are no images', () => {
    expect(listedImages(null)).toEqual([]);
    expect(listedImages([{ digest: A }, { platform: { os: 'linux', architecture: 'arm64' } }])).toEqual([
      { platform: undefined, digest: A },
    ]);
  });
});

describe('builders', () => {
  test('padded rows; a node that does not work', () => {
    expect(
      parseBuilder('Name:   x\nDriver:     remote\nLast Activity: now\n\nNodes:\nName:   x0\nStatus: running\n'),
    ).toEqual({
      kind: 'there',
      name: 'x',
      driver: 'remote',
      platforms: [],
    });
    expect(parseBuilder('Name: x\nDriver: remote\nNodes:\nName: x0\nError:   refused\n')).toMatchObject({
      problem: 'refused',
    });
    expect(parseBuilder('')).toMatchObject({ kind: 'silent' });
  });

  test('platforms of all nodes; what none of them runs', () => {
    const answer = parseBuilder(
      'Name: x\nDriver: remote\nPlatforms: linux/amd64*, linux/386\nPlatforms:   linux/arm/v7\n',
    );
    const choice = namedChoice('x', 'DOCKER_BUILDER', answer, undefined);
    expect(choice.platforms).toEqual(['linux/amd64', 'linux/386', 'linux/arm/v7']);
    expect(foreignPlatforms(choice, ['linux/amd64', 'linux/arm64'])).toEqual(['linux/arm64']);
    expect(foreignPlatforms({ ...choice, platforms: [] }, ['linux/arm64'])).toEqual([]);
  });

  test('only one that is not there is made', () => {
    expect(parseRefusal('ERROR: no builder "x" found')).toEqual({ kind: 'absent' });
    expect(parseRefusal('ERROR: permission denied')).toEqual({ kind: 'silent', reason: 'ERROR: permission denied' });
    expect(() => namedChoice('x', 'DOCKER_BUILDER', { kind: 'silent', reason: 'denied' }, undefined)).toThrow(/denied/);
  });

  test.each(['docker-container', 'kubernetes', 'remote', 'cloud'])('the current one with the driver %s', (driver) => {
    expect(currentChoice({ kind: 'there', name: 'x', driver, platforms: [] }).choice?.name).toBe('x');
  });
});

describe('leftovers', () => {
  test('of this run, of a dead one, of somebody else', () => {
    expect(isLeftover(`openshell-publish-${runWord()}`)).toBe(false);
    expect(isLeftover('localhost/openshell-publish/gateway:999999999-12-0123abcd')).toBe(true);
    // The same pid, started at another time.
    expect(isLeftover(`openshell-publish-${process.pid}-1-0123abcd`)).toBe(process.platform === 'linux');
    for (const name of ['openshell-publish', 'x:dev', 'x-0-0-0123abcd', 'x-999999999-1-0123']) {
      expect(isLeftover(name), name).toBe(false);
    }
  });
});
