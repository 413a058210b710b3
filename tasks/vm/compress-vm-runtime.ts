#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Compresses a release archive or the local build of the VM runtime, and stages it for the VM driver to embed. */

import { runTask } from '../../lib/cli/task.ts';
import { READS, VARIABLES } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/compress-vm-runtime.ts',
    summary: 'Compress and stage the VM runtime of an archive, else of the local build, where its content is new.',
    examples: [
      ['node tasks/vm/compress-vm-runtime.ts', 'Stage what build-libkrun has left.'],
      ['VM_RUNTIME_TARBALL=vm-runtime-linux-x86_64.tar.zst node tasks/vm/compress-vm-runtime.ts', 'Stage an archive.'],
    ],
    flags: {
      platform: {
        value: 'PLATFORM',
        help: "The runtime's platform (default: VM_RUNTIME_PLATFORM, the archive's, or this machine's).",
        choices: VARIABLES.VM_RUNTIME_PLATFORM.choices,
      },
      force: { help: 'Compress everything again.' },
      'dry-run': { help: 'Print the plan and start nothing.' },
    },
    variables: [
      ...(['OPENSHELL_ROOT', 'VM_RUNTIME_TARBALL', 'VM_RUNTIME_PLATFORM'] as const),
      ...READS.releases,
      ...READS.provenance,
      ...READS.guard,
    ],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { compressRuntime } = await import('../../lib/vm/runtime/from-build.ts');
    await compressRuntime(await withRunner(ctx), flags);
  },
);
