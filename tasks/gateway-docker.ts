#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:docker`: a gateway whose sandboxes are Docker containers. */

import { runTask } from '../lib/cli/task.ts';
import { LAUNCHERS } from '../lib/gateway/declarations.ts';

await runTask(import.meta.url, LAUNCHERS.docker, async (ctx, { flags }) => {
  const { withRunner } = await import('../lib/build-env.ts');
  const { launch } = await import('../lib/gateway/execute.ts');
  const { DRIVERS } = await import('../lib/gateway/drivers/records.ts');
  return launch(await withRunner(ctx), DRIVERS.docker, flags);
});
