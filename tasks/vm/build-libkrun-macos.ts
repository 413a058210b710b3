#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Builds libkrun on macOS, with the kernel that a build on Linux has left as C. */

import { runTask } from '../../lib/cli/task.ts';
import { READS } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/build-libkrun-macos.ts',
    summary: 'Build libkrun and libkrunfw on a Mac, from the kernel.c of a build on Linux for arm64.',
    examples: [
      ['node tasks/vm/build-libkrun-macos.ts --kernel-dir kernel', 'From kernel/kernel.c and kernel/ABI_VERSION.'],
      [
        'node tasks/vm/build-libkrun-macos.ts --kernel-dir kernel --strict',
        'For a release: no library of this machine alone.',
      ],
    ],
    flags: {
      'kernel-dir': { help: 'The directory with kernel.c and ABI_VERSION; required.', value: 'DIR' },
      strict: { help: 'Fail where a library needs what other Macs do not have.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: ['OPENSHELL_ROOT', 'LIBKRUN_REF', 'LIBRARY_PATH', 'DYLD_LIBRARY_PATH', ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { buildLibkrunMacos } = await import('../../lib/vm/libkrun-macos/execute.ts');
    const own = { kernelDirectory: flags['kernel-dir'], isStrict: flags.strict };
    await buildLibkrunMacos(await withRunner(ctx), own, flags['dry-run']);
  },
);
