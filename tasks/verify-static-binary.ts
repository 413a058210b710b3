#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Fails unless each file is a complete, fully static ELF executable (classic or static-PIE). Needs no binutils. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/verify-static-binary.ts',
    summary: 'Check that binaries are complete, static ELF executables: the supervisor runs inside arbitrary images.',
    words: [{ name: 'binary', help: 'The files to check.', min: 1, max: Number.POSITIVE_INFINITY }],
    flags: { arch: { value: 'ARCH', help: 'Also check the machine.', choices: ['amd64', 'arm64'] } },
  },
  async ({ args, startDirectory, terminal }) => {
    const [{ inspectStatic }, { absolutePath }, { reportVerdicts }, { archOf }] = await Promise.all([
      import('../lib/elf/verify.ts'),
      import('../lib/fs/paths.ts'),
      import('../lib/elf/print-verdicts.ts'),
      import('../lib/host.ts'),
    ]);
    const machine = archOf(args.flags.arch ?? '');
    reportVerdicts(terminal, args.words, (binary) => {
      const verdict = inspectStatic(absolutePath(startDirectory, binary), { machine });
      return { verdict, passed: 'statically linked: no PT_INTERP, no DT_NEEDED' };
    });
  },
);
