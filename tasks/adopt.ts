#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `npm run adopt`: makes `mise run` in a checkout start the tasks of this clone, and undoes it. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/adopt.ts',
    summary:
      'Make mise run in an OpenShell checkout start these tasks, without changing a tracked file. ' +
      'Exit status 1 of --check: something that concerns these tasks has changed.',
    examples: [
      ['npm run adopt -- ~/src/OpenShell', 'Its mise run starts these tasks.'],
      ['npm run adopt -- --undo ~/src/OpenShell', 'It is as it was.'],
    ],
    positionals: {
      checkout: { help: 'The checkout (default: OPENSHELL_ROOT, else the nearest one above).', count: 'optional' },
    },
    flags: {
      check: {
        help: "Say who has adopted it, and what has changed in OpenShell's own tasks since these were written.",
      },
      undo: { help: 'Leave the checkout as it was before.' },
      worktrees: { help: 'Do it in all worktrees of the checkout; each has a file of its own.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.guard],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { adopt } = await import('../lib/adopt/execute.ts');
    return adopt(await withRunner(ctx), positionals.checkout, flags);
  },
);
