#!/usr/bin/env node

// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:vm`: a gateway whose sandboxes are small virtual machines. */

import { runTask } from '../lib/cli/task.ts';
import { LAUNCHERS } from '../lib/gateway/flags.ts';

await runTask(import.meta.url, LAUNCHERS.vm, async ({ args, ...ctx }) => {
  const [{ launch }, { VM_DRIVER }] = await Promise.all([
    import('../lib/gateway/execute.ts'),
    import('../lib/gateway/drivers/vm.ts'),
  ]);
  await launch(ctx, VM_DRIVER, args.flags);
});
