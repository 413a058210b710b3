#!/usr/bin/env node

// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:docker`: a gateway whose sandboxes are Docker containers. */

import { runTask } from '../lib/cli/task.ts';
import { LAUNCHERS } from '../lib/gateway/flags.ts';

await runTask(import.meta.url, LAUNCHERS.docker, async ({ args, ...ctx }) => {
  const [{ launch }, { DOCKER_DRIVER }] = await Promise.all([
    import('../lib/gateway/execute.ts'),
    import('../lib/gateway/drivers/docker.ts'),
  ]);
  await launch(ctx, DOCKER_DRIVER, args.flags);
});
