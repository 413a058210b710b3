#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run gateway`: a gateway with the driver that fits this machine. */

import { GATEWAY } from '../lib/gateway/arguments.ts';
import { runTask } from '../lib/task.ts';

await runTask(import.meta.url, GATEWAY, async ({ args, ...bench }) => {
  const { launchChosen } = await import('../lib/gateway/dispatch.ts');
  await launchChosen(bench, args.flags, args.words);
});
