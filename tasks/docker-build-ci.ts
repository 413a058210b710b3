#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:ci`: builds the image that CI runs in. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-build-ci.ts',
    summary: 'Build the image that CI runs in, openshell/ci.',
    examples: [
      ['mise run build:docker:ci', "The image openshell/ci:dev, for the engine's machine."],
      ['IMAGE_TAG=test mise run build:docker:ci -- --progress plain', "Another tag, and an option of the engine's."],
    ],
    passThrough: { name: 'build-option', help: "Options for the engine's build command, as they are." },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['OPENSHELL_ROOT', 'IMAGE_TAG', 'DOCKER_PLATFORM', 'DOCKER_PUSH', 'DOCKER_BUILDER'] as const),
      ...(['BUILDX_BUILDER', 'MISE_GITHUB_TOKEN', 'GITHUB_TOKEN', ...READS.engine, ...READS.guard] as const),
    ],
  },
  async (ctx, { flags, passThrough }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { buildCiImage } = await import('../lib/image/execute.ts');
    await buildCiImage(await withRunner(ctx), passThrough, flags['dry-run']);
  },
);
