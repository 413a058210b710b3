#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Fails unless each file is a complete, fully static ELF executable (classic or static-PIE). Needs no binutils. */

import { runTask } from '../lib/cli/task.ts';
import { ARCHES } from '../lib/host.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/verify-static-binary.ts',
    summary: 'Check that binaries are complete, static ELF executables: the supervisor runs inside arbitrary images.',
    examples: [
      ['node tasks/verify-static-binary.ts target/x86_64-unknown-linux-musl/release/openshell-sandbox', 'One binary.'],
      ['node tasks/verify-static-binary.ts artifacts/*', 'Several.'],
    ],
    positionals: { binary: { help: 'The files to check.', count: 'some' } },
    flags: {
      arch: { value: 'ARCH', help: 'Also check the machine.', choices: ARCHES },
      'dry-run': { help: 'Name the files, and check nothing.' },
    },
  },
  async (ctx, { flags, positionals }) => {
    const { printVerdicts } = await import('../lib/cli/problems.ts');
    const { inspectStatic } = await import('../lib/elf/verify.ts');
    const inspect = (path: string) => inspectStatic(path, { machine: flags.arch });
    const passed = 'statically linked: no PT_INTERP, no DT_NEEDED';
    printVerdicts(ctx, positionals.binary, flags['dry-run'], inspect, () => passed);
  },
);
