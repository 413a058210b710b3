#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Packs a build of the VM runtime into the archive of a release: the same build gives the same bytes. */

import { runTask } from '../../lib/cli/task.ts';
import { READS, VARIABLES } from '../../lib/cli/variables.ts';
import { usageError } from '../../lib/errors.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/package-vm-runtime.ts',
    summary: 'Pack a build of the VM runtime, with gvproxy and umoci, into the archive of a release.',
    examples: [
      [
        'node tasks/vm/package-vm-runtime.ts --platform linux-x86_64 --build-dir target/libkrun-build --output out.tar.zst',
        'Pack a build.',
      ],
    ],
    flags: {
      platform: { value: 'PLATFORM', help: "The build's platform.", choices: VARIABLES.VM_RUNTIME_PLATFORM.choices },
      'build-dir': { value: 'DIRECTORY', help: 'Where libkrun and libkrunfw were built.' },
      output: { value: 'FILE', help: 'The archive to write.' },
      'dry-run': { help: 'Print the plan and start nothing.' },
    },
    variables: ['OPENSHELL_ROOT', 'CUSTOM_PROVENANCE_DIR', ...READS.releases, ...READS.provenance, ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { output, platform, 'build-dir': build } = flags;
    if (platform === undefined || build === undefined || output === undefined) {
      throw usageError('--platform, --build-dir and --output are needed, all three; see --help');
    }
    const { withRunner } = await import('../../lib/build-env.ts');
    const { packageRuntime } = await import('../../lib/vm/runtime/from-build.ts');
    await packageRuntime(await withRunner(ctx), { ...flags, platform, output, 'build-dir': build });
  },
);
