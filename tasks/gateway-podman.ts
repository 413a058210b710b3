#!/usr/bin/env node

// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:podman`: a gateway whose sandboxes are Podman containers. */

import { runTask } from '../lib/cli/task.ts';
import { LAUNCHERS } from '../lib/gateway/flags.ts';

await runTask(import.meta.url, LAUNCHERS.podman, async ({ args, ...ctx }) => {
  const [{ launch }, { PODMAN_DRIVER }] = await Promise.all([
    import('../lib/gateway/execute.ts'),
    import('../lib/gateway/drivers/podman.ts'),
  ]);
  await launch(ctx, PODMAN_DRIVER, args.flags);
});
