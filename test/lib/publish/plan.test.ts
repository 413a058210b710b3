// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { dryRunLines } from '../../../lib/publish/plan.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { plannedLines, publishPlan, RUN } from '../../support/publish-plan.ts';

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
    ]);
    expect(lines.at(-1)).toMatch(/<digest of supervisor>|supervisor:dev$/);
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
