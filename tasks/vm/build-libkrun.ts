#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Builds libkrun and libkrunfw from source on Linux, for `vm:setup --from-source` and the release of the runtime. */

import { runTask } from '../../lib/cli/task.ts';
import { READS } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/build-libkrun.ts',
    summary: 'Build libkrun and its kernel, libkrunfw, from their pinned sources, on Linux.',
    examples: [
      ['node tasks/vm/build-libkrun.ts', 'With the packages that are there.'],
      [
        'LIBKRUN_REF=main node tasks/vm/build-libkrun.ts --install-deps',
        'Another commit, and packages where they are missing.',
      ],
    ],
    flags: {
      'install-deps': { help: 'Install the packages that are missing, with apt-get or dnf (and sudo).' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.libkrun, ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { buildLibkrun } = await import('../../lib/vm/libkrun/execute.ts');
    await buildLibkrun(await withRunner(ctx), flags['install-deps'], flags['dry-run']);
  },
);
