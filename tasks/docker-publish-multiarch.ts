#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:multiarch`: publishes the gateway and supervisor images for several platforms. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-publish-multiarch.ts',
    summary: 'Build the gateway and supervisor images for several platforms and publish them under one set of tags.',
    examples: [
      ['DOCKER_REGISTRY=ghcr.io/org IMAGE_TAG=v1.2.0 mise run build:docker:multiarch', 'Publish both as v1.2.0.'],
    ],
    passThrough: { name: 'build-option', help: "Options for the engine's build commands of both images, as they are." },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['DOCKER_REGISTRY', 'IMAGE_TAG', 'EXTRA_DOCKER_TAGS', 'TAG_LATEST', 'DOCKER_PLATFORMS'] as const),
      ...(['DOCKER_BUILDER', 'BUILDX_BUILDER', 'DOCKER_BUILD_CACHE_DIR', 'SOURCE_DATE_EPOCH'] as const),
      ...(['PREBUILT_AUTO_STAGE', 'CI', ...READS.engine, ...READS.release] as const),
    ],
  },
  async (ctx, { flags, passThrough }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { publish } = await import('../lib/publish/execute.ts');
    await publish(await withRunner(ctx), passThrough, flags['dry-run']);
  },
);
