#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Fails unless the code that sends telemetry is in each binary, or in none of them. Needs no binutils. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/verify-telemetry-compiled-out.ts',
    summary: 'Check that binaries have the code that sends telemetry, or that it was compiled out.',
    examples: [
      ['node tasks/verify-telemetry-compiled-out.ts absent target/release/openshell-gateway', 'A build without it.'],
      ['node tasks/verify-telemetry-compiled-out.ts present artifacts/*', 'Builds with it.'],
    ],
    positionals: {
      wanted: { help: 'What the markers of that code have to be.', count: 'one', choices: ['present', 'absent'] },
      binary: { help: 'The files to check.', count: 'some' },
    },
    flags: { 'dry-run': { help: 'Name the files, and check nothing.' } },
  },
  async (ctx, { flags, positionals: { binary, wanted } }) => {
    const { printVerdicts } = await import('../lib/cli/problems.ts');
    const { inspectTelemetry } = await import('../lib/elf/verify.ts');
    const inspect = (path: string) => inspectTelemetry(path, wanted);
    printVerdicts(ctx, binary, flags['dry-run'], inspect, (markers) => `${wanted}: ${markers}`);
  },
);
