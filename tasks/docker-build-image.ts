#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:gateway` and `build:docker:supervisor`: stages the binary and builds its image. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';
import { IMAGE_TARGETS } from '../lib/product.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-build-image.ts',
    summary: 'Stage the binary that an image holds, and build, load, push or write the image.',
    examples: [
      ['mise run build:docker:gateway', "Load the gateway's image into the engine."],
      ['DOCKER_PUSH=1 IMAGE_REGISTRY=ghcr.io/org mise run build:docker:supervisor', "Push the supervisor's."],
    ],
    positionals: {
      target: { help: 'The image; supervisor-output means supervisor.', count: 'one', choices: IMAGE_TARGETS },
    },
    passThrough: {
      name: 'build-option',
      help: "Options for the engine's build command, as they are; --builder, --file, --target and --tag mean the same on each engine.",
    },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['IMAGE_REGISTRY', 'IMAGE_TAG', 'DOCKER_PLATFORM', 'DOCKER_PUSH', 'DOCKER_OUTPUT'] as const),
      ...(['DOCKER_BUILDER', 'BUILDX_BUILDER', 'DOCKER_BUILD_CACHE_DIR', 'PREBUILT_AUTO_STAGE', 'CI'] as const),
      ...([...READS.engine, ...READS.release] as const),
    ],
  },
  async (ctx, { flags, passThrough, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { buildImage } = await import('../lib/image/execute.ts');
    await buildImage(await withRunner(ctx), positionals.target, passThrough, flags['dry-run']);
  },
);
