#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** `mise run vm:supervisor`: builds the guest's supervisor and compresses it for the VM driver to embed. */

import { runTask } from '../../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/vm/build-supervisor-bundle.ts',
    summary: "Bring the VM driver's compressed supervisor up to date, verified.",
    flags: {
      arch: {
        help: "The guest's machine (default: GUEST_ARCH, else this machine's).",
        value: 'ARCH',
        choices: ['aarch64', 'arm64', 'x86_64', 'amd64'],
      },
      'dry-run': { help: 'Print the plan and start nothing but questions.' },
    },
    variables: {
      OPENSHELL_ROOT: 'The checkout to work on (default: where the suite lives, else the nearest one above).',
      OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'The directory to write to (default target/vm-runtime-compressed).',
      GUEST_ARCH: "The guest's machine, where --arch does not say it.",
      SUPERVISOR_LIBC: 'musl or glibc-static (only natively); dynamic when unset.',
      'EXTRA_CARGO_FEATURES, OPENSHELL_CARGO_VERSION, ...': 'As in tasks/stage.ts.',
      OPENSHELL_BUILD_NOFILE_GUARD: 'auto (default), on or off: raising the open-file limit for builds.',
      OPENSHELL_BUILD_NOFILE_LIMIT:
        'The limit to raise to (default 8192); OPENSHELL_VM_BUILD_NOFILE_LIMIT is its old name.',
    },
  },
  async ({ args, ...ctx }) => {
    const { bundle } = await import('../../lib/vm/execute.ts');
    await bundle(ctx, args.flags.arch, args.flags['dry-run']);
  },
);
