#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run keycloak`, `keycloak:stop` and `keycloak:status`: a Keycloak in a container for tests of OIDC. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/keycloak-dev.ts',
    summary: 'Start, stop or look at a Keycloak with the realm openshell, in a container for this machine alone.',
    examples: [
      ['mise run keycloak', 'Start it, or say that it runs.'],
      ['mise run keycloak:status', 'Whether it runs, and where.'],
      ['mise run keycloak:stop', 'Stop and remove it.'],
    ],
    positionals: {
      action: { help: 'What to do; status is 1 unless it runs.', count: 'one', choices: ['start', 'stop', 'status'] },
    },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['OPENSHELL_ROOT', 'KEYCLOAK_PORT', 'CONTAINER_RUNTIME', 'GITHUB_ACTIONS'] as const),
      ...([...READS.engine, ...READS.guard] as const),
    ],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { keycloak } = await import('../lib/keycloak/execute.ts');
    return keycloak(await withRunner(ctx), positionals.action, flags['dry-run']);
  },
);
