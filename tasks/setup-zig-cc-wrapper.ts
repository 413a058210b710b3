#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Makes zig the C and C++ compiler of a Rust target: prints `export` lines, or appends to `GITHUB_ENV`. */

import { runTask } from '../lib/cli/task.ts';
import { READS } from '../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/setup-zig-cc-wrapper.ts',
    summary: 'Write compiler wrappers of zig, and print the variables that point at them.',
    examples: [
      [
        'eval "$(node tasks/setup-zig-cc-wrapper.ts aarch64-unknown-linux-gnu aarch64-linux-gnu.2.28 z)"',
        'In a shell.',
      ],
      ['node tasks/setup-zig-cc-wrapper.ts x86_64-unknown-linux-musl x86_64-linux-musl z', 'In a GitHub workflow.'],
    ],
    positionals: {
      'cargo-target': { help: 'As cargo-zigbuild takes it: x86_64-unknown-linux-gnu.2.28.', count: 'one' },
      'zig-target': { help: 'The target that zig compiles for, usually the same.', count: 'one' },
      'wrapper-dir': { help: 'The directory for the wrappers; existing files are replaced.', count: 'one' },
    },
    flags: { 'dry-run': { help: 'Print the files and the variables, and write nothing.' } },
    variables: ['OPENSHELL_ROOT', 'ZIG', 'CARGO_TARGET_DIR', 'GITHUB_ENV', ...READS.guard],
  },
  async (ctx, { flags, positionals }) => {
    const { withRunner } = await import('../lib/build-env.ts');
    const { setUpZigWrapper } = await import('../lib/cargo/zig-cc.ts');
    const { 'cargo-target': cargoTarget, 'zig-target': zigTarget, 'wrapper-dir': directory } = positionals;
    await setUpZigWrapper(await withRunner(ctx), cargoTarget, zigTarget, directory, flags['dry-run']);
  },
);
