#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run sandbox`: creates the developer's sandbox on the active gateway, or reconnects to it. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/sandbox.ts',
    summary: 'Create the sandbox "dev" on the active gateway and run a command in it, or reconnect to it.',
    examples: [
      ['mise run sandbox', 'Claude in the sandbox, a new one or the one that is there.'],
      ['mise run sandbox -- ls -la', 'Another command in a new sandbox.'],
    ],
    passThrough: {
      name: 'command',
      help: 'The command for a new sandbox, as it is (default claude).',
      isCommand: true,
    },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: ['OPENSHELL_ROOT', 'ANTHROPIC_API_KEY', 'usage_command', ...READS.guard],
  },
  async (ctx, { flags, passThrough }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { sandbox } = await import('../lib/sandbox/execute.ts');
    return sandbox(await withRunner(ctx), passThrough, flags['dry-run']);
  },
);
