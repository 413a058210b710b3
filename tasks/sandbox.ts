#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run sandbox`: creates the developer's sandbox on the active gateway, or reconnects to it. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/sandbox.ts',
    summary: 'Create the sandbox "dev" on the active gateway and run a command in it, or reconnect to it.',
    passedOn: { name: 'command', help: 'The command for a new sandbox, as it is (default claude).', isCommand: true },
    flags: { 'dry-run': { help: 'Print the plan and start nothing but questions.' } },
    variables: {
      ANTHROPIC_API_KEY: 'Registers the provider "anthropic" where the gateway does not have it yet.',
      'OPENSHELL_GATEWAY, OPENSHELL_GATEWAY_ENDPOINT': "The CLI's own: which gateway.",
      usage_command: 'The command, quoted for a shell, where no words are given (mise sets it).',
    },
  },
  async ({ args, ...ctx }) => {
    const { sandbox } = await import('../lib/sandbox/execute.ts');
    process.exitCode = await sandbox(ctx, args.passedOn, args.flags['dry-run']);
  },
);
