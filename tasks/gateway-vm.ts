#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:vm`: a gateway whose sandboxes are small virtual machines. */

import { LAUNCHERS } from '../lib/gateway/arguments.ts';
import { runTask } from '../lib/task.ts';

await runTask(import.meta.url, LAUNCHERS.vm, async ({ args, ...bench }) => {
  const [{ launch }, { VM_DRIVER }] = await Promise.all([
    import('../lib/gateway/launch.ts'),
    import('../lib/gateway/drivers/vm.ts'),
  ]);
  await launch(bench, VM_DRIVER, args.flags);
});
