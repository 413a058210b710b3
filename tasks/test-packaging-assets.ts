#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run test:packaging-assets`: the units of the gateway that the packages install. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/test-packaging-assets.ts',
    summary: "Check the gateway's units of the Debian and RPM packages: where its certificates are created.",
    examples: [
      ['mise run test:packaging-assets', 'The units of the checkout.'],
      ['OPENSHELL_ROOT=../OpenShell node tasks/test-packaging-assets.ts', 'Those of another checkout.'],
    ],
    flags: { 'dry-run': { help: 'Name the files, and check nothing.' } },
    variables: ['OPENSHELL_ROOT'],
  },
  async (ctx, { flags }) => {
    const { testPackagingAssets } = await import('../lib/packaging-assets/execute.ts');
    testPackagingAssets(ctx, flags['dry-run']);
  },
);
