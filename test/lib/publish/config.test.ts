// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import { resolvePublishConfig } from '../../../lib/publish/config.ts';
import { publishConfig } from '../../support/publish-plan.ts';
import { refusalOf } from '../../support/task-errors.ts';

describe('the configuration', () => {
  test('defaults', () => {
    expect(publishConfig()).toEqual({
      root: '/src',
      registry: 'r/org',
      tags: ['dev'],
      arches: ['amd64', 'arm64'],
      builder: undefined,
      epoch: 0,
      cacheDirectory: '/src/.cache/buildkit/images',
      isStaged: true,
      build: {
        libc: 'musl',
        features: [],
        version: undefined,
        targetDirectory: undefined,
        staticFlags: undefined,
      },
      extra: [],
    });
  });

  test.each<[Record<string, string>, string[]]>([
    [{ IMAGE_TAG: 'v1' }, ['v1']],
    [{ EXTRA_DOCKER_TAGS: 'b, a\tb,,dev' }, ['dev', 'b', 'a']],
    [{ EXTRA_DOCKER_TAGS: 'latest', TAG_LATEST: '1' }, ['dev', 'latest']],
    [{ IMAGE_TAG: 'latest', TAG_LATEST: '1' }, ['latest']],
  ])('tags of %j, each once, the main one first', (env, tags) => {
    expect(publishConfig(env).tags).toEqual(tags);
  });

  test('H8: tags are split and checked, never expanded', () => {
    expect(refusalOf(() => publishConfig({ EXTRA_DOCKER_TAGS: 'v1,Cargo*' }))).toContain(
      "EXTRA_DOCKER_TAGS is 'Cargo*'",
    );
  });

  test('a relative cache directory is relative to where the task was started', () => {
    const env = { DOCKER_REGISTRY: 'r', DOCKER_BUILD_CACHE_DIR: 'cache' };
    expect(resolvePublishConfig([], env, '/src', '/start').cacheDirectory).toBe('/start/cache/images');
  });

  test('an option that the publish gives itself is refused with the variables that decide', () => {
    expect(refusalOf(() => resolvePublishConfig(['--platform=linux/386'], {}, '/src', '/src'))).toBe(
      "2: '--platform=linux/386' cannot be passed on; both images are published from their own Dockerfiles, for the " +
        'platforms of DOCKER_PLATFORMS, under the tags of IMAGE_TAG and EXTRA_DOCKER_TAGS',
    );
  });
});
