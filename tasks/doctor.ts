#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run doctor`: whether gateways can be started and images built here, and what to do where not. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';
import { DOCTOR_TASKS } from '../lib/product.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/doctor.ts',
    summary: 'Show what gateways and images need here, whether it is there, and what to do where it is not.',
    examples: [
      ['mise run doctor', 'Whether gateway and build:docker:supervisor can run, and why not.'],
      ['mise run doctor -- gateway:vm --json', 'For another task, as JSON.'],
    ],
    positionals: {
      task: { help: 'Whether these can run; the variables that they read count.', count: 'any', choices: DOCTOR_TASKS },
    },
    flags: {
      json: { help: 'Print one JSON object in place of the table.' },
      'dry-run': { help: 'The same: nothing but probes is ever started.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.guard],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { doctor } = await import('../lib/doctor/execute.ts');
    return doctor(await withRunner(ctx), positionals.task, flags.json);
  },
);
