#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Writes the program that the snap starts as its gateway: a POSIX script, which needs no Node. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/snap-gateway-wrapper.ts',
    summary: 'Print the program that the snap starts as its gateway, or write it to a file.',
    examples: [
      ['node tasks/snap-gateway-wrapper.ts', 'Print it.'],
      ['node tasks/snap-gateway-wrapper.ts --output prime/bin/openshell-gateway-wrapper', 'Write it, as a program.'],
    ],
    flags: {
      output: { value: 'FILE', help: 'The file to write; stdout where it is not given.' },
      'dry-run': { help: 'Print the plan and write nothing.' },
    },
  },
  async (ctx, { flags }) => {
    const { writeSnapWrapper } = await import('../lib/snap/wrapper.ts');
    writeSnapWrapper(ctx, flags.output, flags['dry-run']);
  },
);
