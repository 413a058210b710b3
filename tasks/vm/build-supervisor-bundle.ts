#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run vm:supervisor`: builds the guest's supervisor and compresses it for the VM driver to embed. */

import { runTask } from '../../lib/cli/task.ts';
import { READS, VARIABLES } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/build-supervisor-bundle.ts',
    summary: "Bring the VM driver's compressed supervisor up to date, verified.",
    examples: [
      ['mise run vm:supervisor', "For a guest of this machine's architecture."],
      ['SUPERVISOR_LIBC=musl mise run vm:supervisor -- --arch aarch64', 'Static, for arm64.'],
    ],
    flags: {
      arch: {
        help: "The guest's machine (default: GUEST_ARCH, else this machine's).",
        value: 'ARCH',
        choices: VARIABLES.GUEST_ARCH.choices,
      },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR', 'GUEST_ARCH', ...READS.supervisor],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { bundle } = await import('../../lib/vm/bundle/execute.ts');
    await bundle(await withRunner(ctx), flags.arch, flags['dry-run']);
  },
);
