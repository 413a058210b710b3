#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run docker:cleanup`: removes stale images of OpenShell from docker or podman, after asking. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/docker-cleanup.ts',
    summary: "Remove OpenShell's images that no container uses and that have no current tag, after asking.",
    examples: [
      ['mise run docker:cleanup', 'Show the plan, ask, and remove.'],
      ['mise run docker:cleanup:dry-run', 'Show the plan, and how much is kept.'],
    ],
    flags: {
      'all-projects': { help: 'Also what is not of OpenShell: images, the build cache and, with --volumes, volumes.' },
      volumes: { help: 'Also volumes that no container uses, with all that is in them.' },
      'skip-cache': { help: 'With --all-projects: keep the build cache.' },
      yes: { help: 'Do not ask.' },
      force: { help: 'Old name of --yes.' },
      'dry-run': { help: 'Print the plan and remove nothing.' },
    },
    variables: ['OPENSHELL_ROOT', 'IMAGE_TAG', ...READS.engine, ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { cleanUpEngine } = await import('../lib/cleanup/execute.ts');
    await cleanUpEngine(await withRunner(ctx), flags);
  },
);
