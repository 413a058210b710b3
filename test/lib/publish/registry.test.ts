// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { kindOfRefusal, readReferences, verifyPublished } from '../../../lib/publish/registry.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { DIGEST_A, DIGEST_B, publishPlan, RUN } from '../../support/publish-plan.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('what a refusal means', () => {
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
    ['no response from docker within 60.0 s', 'failed'],
  ])('%s: %s', (reason, kind) => {
    expect(kindOfRefusal(reason)).toBe(kind);
  });
});

describe('reading the references of a plan', () => {
  const planIn = (directory: string, name: 'docker' | 'podman', tags = '') => {
    const plan = publishPlan(name, { EXTRA_DOCKER_TAGS: tags });
    return { ...plan, config: { ...plan.config, root: directory } };
  };

  test('each with its state, in the order of the plan', async () => {
    const script = `case \${!#} in
      *gateway:dev) echo '{"digest":"${DIGEST_A}"}' ;;
      *supervisor:dev) echo 'ERROR: not found' >&2; exit 1 ;;
      *gateway:v1) echo '<html>' ;;
      *) echo 'ERROR: 403 Forbidden' >&2; exit 1 ;;
    esac`;
    const tools = fakeTools().add('docker', [{ args: ['buildx', 'imagetools', 'inspect'], script }]);
    const states = await readReferences(inProcess(tools), planIn(tools.directory, 'docker', 'v1'));
    expect([...states]).toEqual([
      ['r/org/gateway:dev', { kind: 'exists', content: { digest: DIGEST_A, images: [{ digest: DIGEST_A }] } }],
      ['r/org/supervisor:dev', { kind: 'absent', reason: 'ERROR: not found' }],
      ['r/org/gateway:v1', { kind: 'failed', reason: "it is not an image: '<html>'" }],
      ['r/org/supervisor:v1', { kind: 'forbidden', reason: 'ERROR: 403 Forbidden' }],
    ]);
  });

  test('all of many, some at once', async () => {
    const tools = fakeTools().add('docker', [
      { args: ['buildx', 'imagetools', 'inspect'], script: `echo '{"digest":"${DIGEST_A}"}'` },
    ]);
    const plan = planIn(tools.directory, 'docker', 'a b c d e f g h');
    const states = await readReferences(inProcess(tools), plan);
    expect([...states.keys()]).toEqual(plan.references);
    expect(tools.calls()).toHaveLength(18);
  });

  test('podman: every list has a name of its own that ends with the run, and the first failure counts', async () => {
    const tools = fakeTools().add('podman', [
      { args: ['manifest', 'create'], script: ':' },
      { args: ['manifest', 'add'], script: 'echo "manifest unknown" >&2; exit 125' },
    ]);
    const plan = planIn(tools.directory, 'podman');
    const states = await readReferences(inProcess(tools), plan);
    expect(new Set([...states.values()].map(({ kind }) => kind))).toEqual(new Set(['absent']));
    await readReferences(inProcess(tools), plan);
    const lists = tools.calls().flatMap(({ args }) => (args[1] === 'create' ? args.slice(2) : []));
    expect(new Set(lists).size).toBe(2 * plan.references.length);
    for (const list of lists) {
      expect(list).toMatch(new RegExp(`^localhost/openshell-publish/[0-9a-f-]+:${RUN}$`));
    }
  });
});

describe('what was published is compared with what is read back', () => {
  const platforms = ['linux/amd64', 'linux/arm64'];
  const images = platforms.map((platform) => ({ platform, digest: DIGEST_B }));
  const published = {
    component: 'gateway',
    reference: 'r/gateway:dev',
    platforms,
    content: { digest: DIGEST_A, images },
  };
  const verify = (content: typeof published.content) => verifyPublished(published, { kind: 'exists', content });

  test('it is the same', () => {
    verify({ digest: DIGEST_A, images });
    verify({ digest: DIGEST_A, images: [...images].reverse() });
  });

  test.each([
    ['another digest', DIGEST_B, images, `${DIGEST_B} for linux/amd64, linux/arm64`],
    ['a platform is missing', DIGEST_A, images.slice(1), `${DIGEST_A} for linux/arm64`],
    [
      'a platform twice',
      DIGEST_A,
      [...images, ...images.slice(1)],
      `${DIGEST_A} for linux/amd64, linux/arm64, linux/arm64`,
    ],
    ['no platform', DIGEST_A, [], `${DIGEST_A} for no platform`],
  ])('%s', (_, digest, has, found) => {
    expect(refusalOf(() => verify({ digest, images: has }))).toBe(
      `1: r/gateway:dev is ${found} in the registry, but ${DIGEST_A} for linux/amd64, linux/arm64 was published; ` +
        'another publish may have set it since',
    );
  });

  test('without its digest it is compared by its images', () => {
    const state = { kind: 'exists', content: { digest: undefined, images: images.slice(1) } } as const;
    expect(refusalOf(() => verifyPublished(published, state))).toContain('is a list for linux/arm64 in the registry');
  });

  test('it cannot be read', () => {
    expect(refusalOf(() => verifyPublished(published, { kind: 'absent', reason: 'ERROR: not found\n' }))).toBe(
      '1: r/gateway:dev cannot be read back: ERROR: not found\\n',
    );
  });
});

test.each(['pr-404', 'pr-403', 'denied'])('the tag %s in a message says nothing of the registry', async (tag) => {
  const reference = `127.0.0.1:5000/org/gateway:${tag}`;
  const script = `echo "pinging ${reference}: dial tcp: connect: connection refused" >&2; exit 1`;
  const tools = fakeTools().add('docker', [{ args: ['buildx', 'imagetools', 'inspect'], script }]);
  const plan = { ...publishPlan('docker'), references: [reference] };
  const states = await readReferences(inProcess(tools), { ...plan, config: { ...plan.config, root: tools.directory } });
  expect(states.get(reference)?.kind).toBe('failed');
});
