#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Downloads the released VM runtime of a platform, verifies it, and stages it for the VM driver to embed. */

import { runTask } from '../../lib/cli/task.ts';
import { READS, VARIABLES } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/download-kernel-runtime.ts',
    summary: 'Download, verify and stage the VM runtime of a release.',
    examples: [
      ['node tasks/vm/download-kernel-runtime.ts', 'The runtime of this machine.'],
      ['node tasks/vm/download-kernel-runtime.ts --platform linux-aarch64', 'That of another one.'],
    ],
    flags: {
      platform: {
        value: 'PLATFORM',
        help: "The runtime's platform (default: this machine's).",
        choices: VARIABLES.VM_RUNTIME_PLATFORM.choices,
      },
      force: { help: 'Download and compress it again, even where it is the same release.' },
      'dry-run': { help: 'Print the plan and start nothing.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.releases, ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { downloadRuntime } = await import('../../lib/vm/runtime/setup.ts');
    await downloadRuntime(await withRunner(ctx), flags);
  },
);
