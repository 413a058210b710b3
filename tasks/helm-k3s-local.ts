#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run helm:k3s:*`: a local k3s cluster by k3d, for Helm and Skaffold. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/helm-k3s-local.ts',
    summary: 'Create, start, stop or delete the local k3s cluster of this checkout (k3d, Docker), or list all of them.',
    positionals: {
      command: {
        help: 'What to do; create starts and completes a cluster that exists.',
        count: 'one',
        choices: ['create', 'delete', 'start', 'stop', 'status'],
      },
    },
    flags: {
      'require-preload': { help: 'With create: fail where the sandbox image cannot be imported.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.cluster, ...READS.guard],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { manageCluster } = await import('../lib/cluster/execute.ts');
    const options = { isPreloadRequired: flags['require-preload'], isDryRun: flags['dry-run'] };
    await manageCluster(await withRunner(ctx), positionals.command, options);
  },
);
