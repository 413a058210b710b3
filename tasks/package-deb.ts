#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run package:deb`: packs binaries that exist into a Debian package. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/package-deb.ts',
    summary: 'Pack the three binaries that the variables name into a Debian package; relative paths are from here.',
    examples: [
      ['OPENSHELL_DEB_VERSION=1.2.3 mise run package:deb:amd64', 'From the binaries that the other variables name.'],
      ['OPENSHELL_DEB_VERSION=1.2.3 mise run package:deb:arm64', 'For arm64.'],
      ['mise run package:deb -- --dry-run', 'Print what would be packed.'],
    ],
    flags: {
      'any-machine': { help: 'Pack programs of another machine than the package, or none of any, as they are.' },
      'dry-run': { help: 'Print the plan and start nothing but probes.' },
    },
    variables: [
      ...(['OPENSHELL_ROOT', 'OPENSHELL_CLI_BINARY', 'OPENSHELL_GATEWAY_BINARY'] as const),
      ...(['OPENSHELL_DRIVER_VM_BINARY', ...READS.deb, ...READS.guard] as const),
    ],
  },
  async (ctx, { flags }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { packageDeb } = await import('../lib/package/execute.ts');
    await packageDeb(await withRunner(ctx), flags['any-machine'], flags['dry-run']);
  },
);
