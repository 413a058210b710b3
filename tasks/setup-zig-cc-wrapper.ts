#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/**
 * Makes zig the C and C++ compiler of a Rust target, for workflows and scripts: prints `export`
 * lines, or appends to `GITHUB_ENV` where that is set.
 */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/setup-zig-cc-wrapper.ts',
    summary: 'Write compiler wrappers made of zig, and say which variables point at them.',
    words: [
      { name: 'cargo-target', help: 'As cargo-zigbuild takes it: x86_64-unknown-linux-gnu.2.28.', min: 1, max: 1 },
      { name: 'zig-target', help: 'The target that zig compiles for, usually the same.', min: 1, max: 1 },
      { name: 'wrapper-dir', help: 'The directory for the wrappers; existing files are replaced.', min: 1, max: 1 },
    ],
    variables: {
      ZIG: 'Path of zig (default: from PATH, else mise).',
      GITHUB_ENV: 'Where set, the variables are appended to this file and nothing is printed.',
    },
  },
  async ({ args, ...ctx }) => {
    const { setUpZigWrapper } = await import('../lib/cargo/zig-cc-task.ts');
    const [cargoTarget = '', zigTarget = '', directory = ''] = args.words;
    await setUpZigWrapper(ctx, cargoTarget, zigTarget, directory);
  },
);
