#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run test:install-sh`: install.sh of the checkout has to work in every POSIX shell. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/test-install-sh.ts',
    summary: 'Test the functions of install.sh in sh, dash, bash and busybox; nothing is installed.',
    examples: [
      ['mise run test:install-sh', 'Every case in every shell that is there.'],
      ['mise run test:install-sh -- --dry-run', 'Print the commands.'],
    ],
    flags: { 'dry-run': { help: 'Print the plan and start nothing.' } },
    variables: ['OPENSHELL_ROOT', ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { testInstaller } = await import('../lib/installer-test/execute.ts');
    await testInstaller(await withRunner(ctx), flags['dry-run']);
  },
);
