#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run helm:k3s:*`: a local k3s cluster by k3d, for Helm and Skaffold. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';
import { SUBCOMMANDS } from '../lib/cluster/config.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/helm-k3s-local.ts',
    summary: 'Create, start, stop or delete the local k3s cluster of this checkout (k3d, Docker), or list all of them.',
    examples: [
      ['mise run helm:k3s:create', "A cluster for this checkout's branch, or what one lacks."],
      ['mise run helm:k3s:status', 'Which there is, and whether it runs.'],
      ['mise run helm:k3s:stop', 'Stop it, and keep what is in it.'],
      ['mise run helm:k3s:start', 'Start it again.'],
      ['mise run helm:k3s:delete', 'Delete it, with its entries of the kubeconfig.'],
    ],
    positionals: {
      command: { help: 'What to do; create completes one that exists.', count: 'one', choices: SUBCOMMANDS },
    },
    flags: {
      'require-preload': { help: 'With create: fail where the sandbox image cannot be imported.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: [
      ...(['OPENSHELL_ROOT', 'HELM_K3S_CLUSTER_NAME', 'HELM_K3S_KUBECONFIG', 'KUBECONFIG'] as const),
      ...(['HELM_K3S_LB_HOST_PORT', 'HELM_K3S_PRELOAD_SANDBOX_IMAGE', 'AGENT_SANDBOX_VERSION'] as const),
      ...(['GITHUB_USERNAME', 'GITHUB_PAT', ...READS.guard] as const),
    ],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { manageCluster } = await import('../lib/cluster/execute.ts');
    await manageCluster(await withRunner(ctx), positionals.command, flags);
  },
);
