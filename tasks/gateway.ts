#!/usr/bin/env node

// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway`: a gateway with the driver that fits this machine. */

import { runTask } from '../lib/cli/task.ts';
import { GATEWAY } from '../lib/gateway/flags.ts';

await runTask(import.meta.url, GATEWAY, async ({ args, ...ctx }) => {
  const { launchChosen } = await import('../lib/gateway/select-driver.ts');
  await launchChosen(ctx, args.flags, args.words);
});
