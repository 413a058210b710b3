#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run vm:smoke:orphan-cleanup`: a VM sandbox has to end with its gateway, however that ends. */

import { runTask } from '../../lib/cli/task.ts';
import { READS } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/smoke-orphan-cleanup.ts',
    summary: 'Start a VM gateway with a sandbox, end the gateway, and see that nothing is left of the sandbox.',
    examples: [
      ['mise run vm:smoke:orphan-cleanup', 'Both scenarios, SIGTERM and SIGKILL.'],
      ['OPENSHELL_SERVER_PORT=8092 mise run vm:smoke:orphan-cleanup', 'On another port.'],
    ],
    flags: { 'dry-run': { help: 'Print the plan and start nothing but probes.' } },
    variables: [
      ...(['OPENSHELL_ROOT', 'OPENSHELL_SERVER_PORT', 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR'] as const),
      ...(['CARGO_TARGET_DIR', ...READS.guard] as const),
    ],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { smokeOrphanCleanup } = await import('../../lib/vm/orphans/execute.ts');
    await smokeOrphanCleanup(await withRunner(ctx), flags['dry-run']);
  },
);
