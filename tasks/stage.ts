#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run build:docker:prebuilt`: compiles the release binaries that image builds copy, and stages them. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';
import { STAGE_TARGETS } from '../lib/product.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/stage.ts',
    summary: 'Compile release binaries for Linux on this host and stage them, verified, for image builds.',
    examples: [
      ['mise run build:docker:prebuilt', 'Both binaries, for this machine.'],
      ['DOCKER_PLATFORM=linux/arm64 mise run build:docker:prebuilt -- supervisor', 'The supervisor for arm64.'],
    ],
    positionals: {
      target: {
        help: 'What to stage; all is the default. sandbox and supervisor-output mean supervisor.',
        count: 'optional',
        choices: STAGE_TARGETS,
      },
    },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: ['PREBUILT_ARCH', 'DOCKER_PLATFORM', ...READS.release],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { stage } = await import('../lib/stage/execute.ts');
    await stage(await withRunner(ctx), positionals.target ?? 'all', flags['dry-run']);
  },
);
