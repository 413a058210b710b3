#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/**
 * `mise run build:docker:prebuilt`: compiles the release binaries that image builds copy, on the
 * host, and stages them below `deploy/docker/.build/prebuilt-binaries/<arch>/`.
 */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/stage.ts',
    summary: 'Compile release binaries for Linux on this host and stage them, verified, for image builds.',
    words: [
      {
        name: 'target',
        help: 'What to stage; all is the default. sandbox and supervisor-output mean supervisor.',
        min: 0,
        max: 1,
        choices: ['all', 'gateway', 'supervisor', 'sandbox', 'supervisor-output'],
      },
    ],
    flags: { 'dry-run': { help: 'Print the plan and start nothing but questions.' } },
    variables: {
      OPENSHELL_ROOT: 'The checkout to work on (default: where the suite lives, else the nearest one above).',
      PREBUILT_ARCH: 'One architecture: x86_64, amd64, aarch64 or arm64. Wins over DOCKER_PLATFORM.',
      DOCKER_PLATFORM: 'Comma list of linux/amd64 and linux/arm64 (default: this machine).',
      SUPERVISOR_LIBC: 'musl (default) or glibc-static (only natively).',
      EXTRA_CARGO_FEATURES: 'Features, separated by blanks or commas, for the components that declare them.',
      OPENSHELL_CARGO_VERSION: 'Version to build under; the checkout is not touched.',
      'CARGO_TARGET_DIR, CARGO_BUILD_JOBS, RUSTFLAGS': "Cargo's own, honoured.",
      ZIG: 'Path of zig for the compiler wrappers (default: from PATH, else mise).',
      OPENSHELL_BUILD_NOFILE_GUARD: 'auto (default), on or off: raising the open-file limit for builds.',
      OPENSHELL_BUILD_NOFILE_LIMIT:
        'The limit to raise to (default 8192); OPENSHELL_VM_BUILD_NOFILE_LIMIT is its old name.',
    },
  },
  async ({ args, ...ctx }) => {
    const { stage } = await import('../lib/stage/execute.ts');
    await stage(ctx, args.words[0] ?? 'all', args.flags['dry-run']);
  },
);
