#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway`: a gateway with the driver that fits this machine. */

import { runTask } from '../lib/cli/task.ts';
import { GATEWAY } from '../lib/gateway/declarations.ts';

await runTask(import.meta.url, GATEWAY, async (ctx, { flags, positionals }) => {
  const { withRunner } = await import('../lib/build-env.ts');
  const { launchSelected } = await import('../lib/gateway/select-driver.ts');
  return launchSelected(await withRunner(ctx), flags, positionals['launcher-option']);
});
