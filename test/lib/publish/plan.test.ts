// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { dryRunLines, progressText, tableLines } from '../../../lib/publish/plan.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { DIGEST_A, DIGEST_B, plannedLines, publishPlan, RUN } from '../../support/publish-plan.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('the references', () => {
  test('a new tag for both components before the next one', () => {
    expect(publishPlan('docker', { EXTRA_DOCKER_TAGS: 'v1' }).references).toEqual([
      'r/org/gateway:dev',
      'r/org/supervisor:dev',
      'r/org/gateway:v1',
      'r/org/supervisor:v1',
    ]);
  });

  test('podman: those of single platforms first, which carry content', () => {
    expect(publishPlan('podman').references).toEqual([
      'r/org/gateway:dev-linux-amd64',
      'r/org/gateway:dev-linux-arm64',
      'r/org/supervisor:dev-linux-amd64',
      'r/org/supervisor:dev-linux-arm64',
      'r/org/gateway:dev',
      'r/org/supervisor:dev',
    ]);
  });

  test('podman: the tag of a platform is one, and is not also the tag of a release', () => {
    expect(refusalOf(() => publishPlan('podman', { IMAGE_TAG: 'x'.repeat(120) }))).toMatch(
      /^2: IMAGE_TAG with its platform is 'x+/,
    );
    expect(refusalOf(() => publishPlan('podman', { EXTRA_DOCKER_TAGS: 'dev-linux-arm64' }))).toBe(
      "2: EXTRA_DOCKER_TAGS has dev-linux-arm64, which is the tag of one platform's image here; choose another one",
    );
    expect(publishPlan('docker', { EXTRA_DOCKER_TAGS: 'dev-linux-arm64' }).references).toHaveLength(4);
  });
});

describe('the commands, before any of them has run', () => {
  const file = (name: string) => `-f /src/deploy/docker/Dockerfile.${name} --target ${name}`;

  test('docker: all builds, then tags from the digests that they will give', async () => {
    const builder = { name: 'far', driver: 'remote' };
    const build = (name: string) =>
      `docker buildx build --builder far --platform linux/amd64,linux/arm64 ${file(name)} --provenance=false ` +
      `--build-arg SOURCE_DATE_EPOCH=0 --metadata-file SCRATCH/digest-of-${name} --output type=image,` +
      `name=r/org/${name},push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true /src`;
    const tag = (name: string) =>
      `docker buildx imagetools create --builder far --prefer-index=false -t r/org/${name}:dev r/org/${name}@<digest of ${name}>`;
    expect(await plannedLines(publishPlan('docker', {}, { builder }))).toEqual([
      ...['gateway', 'supervisor'].map(build),
      ...['gateway', 'supervisor'].map(tag),
    ]);
  });

  test('podman: all builds, content by id, lists of digests, and then the tags', async () => {
    const build = (name: string) =>
      `podman build --platform linux/arm64 ${file(name)} --timestamp 0 --iidfile SCRATCH/id-of-${name}-linux-arm64 /src`;
    const content = (name: string) => [
      `podman push --digestfile SCRATCH/digest-of-${name}-linux-arm64 <id of ${name} linux/arm64> docker://r/org/${name}:dev-linux-arm64`,
      `podman manifest create localhost/openshell-publish/${name}:${RUN}`,
      `podman manifest add localhost/openshell-publish/${name}:${RUN} docker://r/org/${name}@<digest of ${name} linux/arm64>`,
    ];
    const tag = (name: string) =>
      `podman manifest push --all=false --digestfile SCRATCH/digest-of-${name} localhost/openshell-publish/${name}:${RUN} docker://r/org/${name}:dev`;
    expect(await plannedLines(publishPlan('podman', { DOCKER_PLATFORMS: 'linux/arm64' }))).toEqual([
      ...['gateway', 'supervisor'].map(build),
      ...['gateway', 'supervisor'].flatMap(content),
      ...['gateway', 'supervisor'].map(tag),
    ]);
  });

  test('F17: caches: of a container that builds, a directory of each image, quoted where it has a comma', async () => {
    const env = { DOCKER_BUILD_CACHE_DIR: '/a,b' };
    const builder = { name: 'box', driver: 'docker-container' };
    const plan = publishPlan('docker', env, { builder });
    expect(plan.caches).toEqual(['/a,b/images/gateway', '/a,b/images/supervisor']);
    expect((await plannedLines(plan))[1]).toContain(
      ' --cache-from type=local,"src=/a,b/images/supervisor" --cache-to type=local,"dest=/a,b/images/supervisor",mode=max ',
    );
    for (const other of [
      publishPlan('docker', env),
      publishPlan('docker', env, { builder: { ...builder, driver: 'remote' } }),
      publishPlan('docker', { ...env, CI: '1' }, { builder }),
    ]) {
      expect(other.caches).toEqual([]);
      expect((await plannedLines(other)).join('\n')).not.toContain('--cache');
    }
  });
});

const CONTENT = { digest: DIGEST_A, images: [{ platform: 'linux/amd64', digest: DIGEST_A }] };
const PUBLISHED = {
  component: 'gateway',
  reference: 'r/gateway:dev',
  platforms: ['linux/amd64', 'linux/arm64'],
  content: CONTENT,
};

test('what became of a reference', () => {
  const state = (before: NonNullable<ReturnType<Parameters<typeof tableLines>[1]['get']>>) =>
    tableLines([PUBLISHED], new Map([['r/gateway:dev', before]]))[1]
      ?.split(/ +/)
      .at(-1);
  expect(state({ kind: 'absent' })).toBe('new');
  expect(state({ kind: 'exists', content: CONTENT })).toBe('unchanged');
  expect(state({ kind: 'exists', content: { ...CONTENT, digest: DIGEST_B } })).toBe('moved');
  expect(state({ kind: 'forbidden' })).toBe('moved');
});

test('the table', () => {
  expect(tableLines([PUBLISHED], new Map([['r/gateway:dev', { kind: 'absent' }]]))).toEqual([
    `component  reference      digest${' '.repeat(67)}platforms                state`,
    `gateway    r/gateway:dev  ${DIGEST_A}  linux/amd64,linux/arm64  new`,
  ]);
});

describe('how far a failed publish came', () => {
  test.each<[string[], string | undefined, string]>([
    [[], undefined, 'no reference was set before that; as they were: a, b, c; run it again to finish'],
    [['a'], 'b', 'set before that: a; b may have been set or not; as they were: c; run it again to finish'],
    [['a', 'b'], 'c', 'set before that: a, b; c may have been set or not; run it again to finish'],
    [['a', 'b', 'c'], undefined, 'set before that: a, b, c; run it again to finish'],
  ])('%j are set, %s is being set', (done, current, text) => {
    expect(progressText(['a', 'b', 'c'], done, current)).toBe(text);
  });
});

describe('a dry run', () => {
  test.each(['docker', 'podman'] as const)('%s: all commands in their order, and nothing is started', async (name) => {
    const tools = fakeTools();
    const creation = ['buildx', 'create', '--name', 'box'];
    const builder = { name: 'box', driver: 'docker-container', ...(name === 'docker' ? { creation } : {}) };
    const plan = publishPlan(name, {}, { builder });
    const lines = await dryRunLines(inProcess(tools, {}, '/start in'), plan);
    const plain = lines.map((line) => line.replaceAll("'", '').replaceAll(plan.scratch, 'SCRATCH'));
    const commands = plain.filter((line) => line.startsWith(name));
    const planned = await plannedLines(plan);
    expect(commands).toEqual([...(name === 'docker' ? ['docker buildx create --name box'] : []), ...planned]);
    expect(lines.filter((line) => !line.startsWith(name))).toEqual([
      '# verifies the staged binaries',
      `# creates ${plan.scratch}`,
      ...plan.caches.map((cache) => `# creates ${cache}`),
      "cd '/start in'",
      ...plan.references.map((reference) => `# reads back ${reference}`),
    ]);
    expect(lines.at(-plan.references.length - 1)).toMatch(/<digest of supervisor>|supervisor:dev$/);
    expect(tools.calls()).toEqual([]);
  });

  test('the time is in the arguments alone', async () => {
    const ctx = inProcess(fakeTools(), { SOURCE_DATE_EPOCH: '7' });
    const lines = await dryRunLines(ctx, publishPlan('podman', { SOURCE_DATE_EPOCH: '7' }));
    expect(lines.find((line) => line.includes('podman build'))).toMatch(
      /^env -u SOURCE_DATE_EPOCH podman build .* --timestamp 7 /,
    );
  });
});
