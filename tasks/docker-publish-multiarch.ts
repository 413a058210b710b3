#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:multiarch`: publishes the gateway and supervisor images for several platforms. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-publish-multiarch.ts',
    summary: 'Build the gateway and supervisor images for several platforms and publish them under one set of tags.',
    passedOn: { name: 'build-option', help: "Options for the engine's build commands of both images, as they are." },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but questions.' } },
    variables: {
      DOCKER_REGISTRY: 'Registry and path to publish to, such as ghcr.io/org. Required.',
      IMAGE_TAG: 'The main tag (default dev).',
      DOCKER_PLATFORMS: 'Comma list of linux/amd64 and linux/arm64 (default both).',
      EXTRA_DOCKER_TAGS: 'More tags, separated by commas or blanks.',
      TAG_LATEST: 'Also set the tag latest (default no).',
      DOCKER_BUILDER:
        'A buildx builder; one that does not exist is made. Default: the one chosen with docker buildx use, else multiarch.',
      SOURCE_DATE_EPOCH: 'The time that the images bear, in seconds since 1970 (default 0: same content, same digest).',
      DOCKER_BUILD_CACHE_DIR: 'Build cache for docker-container builders (default .cache/buildkit).',
      'CI, PREBUILT_AUTO_STAGE':
        'With CI, or with PREBUILT_AUTO_STAGE=0, nothing is compiled: staged binaries are verified.',
      CONTAINER_ENGINE: 'docker or podman (default: what answers, podman first).',
      'SUPERVISOR_LIBC, EXTRA_CARGO_FEATURES, OPENSHELL_CARGO_VERSION, ...': 'As in tasks/stage.ts.',
    },
  },
  async ({ args, ...ctx }) => {
    const { publish } = await import('../lib/publish/execute.ts');
    await publish(ctx, args.passedOn, args.flags['dry-run']);
  },
);
