#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Fails if a binary needs a newer glibc than a limit. Needs no binutils. */

import { runTask } from '../lib/cli/task.ts';
import { ARCHES } from '../lib/host.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/verify-glibc-symbols.ts',
    summary: 'Check that binaries need no newer glibc than a limit.',
    examples: [
      ['node tasks/verify-glibc-symbols.ts 2.28 target/release/openshell-gateway', 'One binary.'],
      ['node tasks/verify-glibc-symbols.ts 2.31 artifacts/*', 'Several.'],
    ],
    positionals: {
      max: { help: 'The newest glibc version allowed, such as 2.28.', count: 'one' },
      binary: { help: 'The files to check.', count: 'some' },
    },
    flags: {
      arch: { value: 'ARCH', help: 'Also check the machine.', choices: ARCHES },
      'dry-run': { help: 'Name the files, and check nothing.' },
    },
  },
  async (ctx, { flags, positionals }) => {
    const { inspectGlibc, parseGlibcLimit } = await import('../lib/elf/verify.ts');
    const { printVerdicts } = await import('../lib/cli/problems.ts');
    const options = { machine: flags.arch, max: parseGlibcLimit(positionals.max) };
    const inspect = (path: string) => inspectGlibc(path, options);
    printVerdicts(ctx, positionals.binary, flags['dry-run'], inspect, ({ glibc }) => `highest GLIBC symbol: ${glibc}`);
  },
);
