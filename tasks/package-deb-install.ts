#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run package:deb:install`: from source to the packaged gateway as a running service of this user. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/package-deb-install.ts',
    summary: 'Build the release binaries, pack and install them (with sudo), start the user service and register it.',
    examples: [
      ['mise run package:deb:install', 'Build, pack and install it, and start its service.'],
      ['mise run package:deb:install -- --dry-run', 'Print the steps.'],
    ],
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR', ...READS.deb, ...READS.compile],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { installDeb } = await import('../lib/package/install/execute.ts');
    await installDeb(await withRunner(ctx), flags['dry-run']);
  },
);
