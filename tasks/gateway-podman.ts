#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway:podman`: a gateway whose sandboxes are Podman containers. */

import { runTask } from '../lib/cli/task.ts';
import { LAUNCHERS } from '../lib/gateway/declarations.ts';

await runTask(import.meta.url, LAUNCHERS.podman, async (ctx, { flags }) => {
  const { withRunner } = await import('../lib/build-env.ts');
  const { launch } = await import('../lib/gateway/execute.ts');
  const { DRIVERS } = await import('../lib/gateway/drivers/records.ts');
  return launch(await withRunner(ctx), DRIVERS.podman, flags);
});
