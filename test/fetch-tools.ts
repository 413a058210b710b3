#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `npm run tools`: gets every real tool that the tests can use and that needs no change of the system. */

import { withRunner } from '../lib/build-env.ts';
import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'test/fetch-tools.ts',
    summary:
      'Get zig, cargo-zigbuild, sccache, the Rust targets, buildx and buildkitd that the tests use, into OPENSHELL_TASKS_TOOLS (default .tools in this clone).',
  },
  async (context) => {
    const { GO_TOOLS, PINNED, RUST_TARGETS } = await import('./support/tool-table.ts');
    const { fetchTools } = await import('./support/fetch-tools.ts');
    const { findTool } = await import('./support/real-tools.ts');
    const names = [
      'cargo',
      ...(Object.keys(PINNED) as (keyof typeof PINNED)[]),
      ...(Object.keys(RUST_TARGETS) as (keyof typeof RUST_TARGETS)[]),
      // Last: they take longest, and whoever builds no images does without them.
      ...(Object.keys(GO_TOOLS) as (keyof typeof GO_TOOLS)[]),
    ] as const;
    await fetchTools(await withRunner(context), names);
    for (const name of names) {
      const found = findTool(name, context.env);
      if (found.ok) context.terminal.result(`${name}: ${found.path}`);
    }
  },
);
