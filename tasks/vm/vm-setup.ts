#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run vm:setup`: a complete VM runtime for this machine, verified, for the VM driver to embed. */

import { runTask } from '../../lib/cli/task.ts';
import { READS } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/vm-setup.ts',
    summary: 'Set the VM runtime up where it is not complete: download and verify it, or build it.',
    examples: [
      ['mise run vm:setup', 'Download what is not there, or do nothing.'],
      ['mise run vm:setup -- --from-source --install-deps', 'Build it, with the packages that this takes.'],
    ],
    flags: {
      'from-source': { help: 'Build the libraries (15 to 45 minutes), and stage that build.' },
      'install-deps': { help: 'With --from-source: install the packages that are missing (with sudo).' },
      force: { help: 'Set it up again, even where it is complete.' },
      'update-pins': { help: 'Record the SHA-256 of what is downloaded, for all platforms, and show the difference.' },
      'dry-run': { help: 'Print the plan and start nothing.' },
    },
    variables: ['OPENSHELL_ROOT', ...READS.runtime, ...READS.guard],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const running = await withRunner(ctx);
    const { whatToSetUp } = await import('../../lib/vm/runtime/config.ts');
    const what = whatToSetUp(running, flags);
    if (what === 'release') {
      const { downloadRuntime } = await import('../../lib/vm/runtime/setup.ts');
      await downloadRuntime(running, flags);
    } else if (what === 'build') {
      const { setUpFromSource } = await import('../../lib/vm/runtime/from-build.ts');
      await setUpFromSource(running, flags);
    } else if (what === 'pins') {
      const { recordDigests } = await import('../../lib/vm/runtime/update-pins.ts');
      await recordDigests(running, flags['dry-run']);
    }
  },
);
