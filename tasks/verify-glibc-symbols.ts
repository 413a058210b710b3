#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0

/** Fails if a binary needs a newer glibc than a limit. Needs no binutils. */

import { runTask } from '../lib/cli/task.ts';

await runTask(
  import.meta.url,
  {
    name: 'tasks/verify-glibc-symbols.ts',
    summary: 'Check that binaries need no newer glibc than a limit.',
    words: [
      { name: 'max', help: 'The newest glibc version allowed, such as 2.28.', min: 1, max: 1 },
      { name: 'binary', help: 'The files to check.', min: 1, max: Number.POSITIVE_INFINITY },
    ],
    flags: { arch: { value: 'ARCH', help: 'Also check the machine.', choices: ['amd64', 'arm64'] } },
  },
  async ({ args, startDirectory, terminal }) => {
    const [{ inspectGlibc, parseGlibcLimit }, { absolutePath }, { reportVerdicts }, { archOf }] = await Promise.all([
      import('../lib/elf/verify.ts'),
      import('../lib/fs/paths.ts'),
      import('../lib/elf/print-verdicts.ts'),
      import('../lib/host.ts'),
    ]);
    const max = parseGlibcLimit(args.words[0] ?? '');
    const machine = archOf(args.flags.arch ?? '');
    reportVerdicts(terminal, args.words.slice(1), (binary) => {
      const verdict = inspectGlibc(absolutePath(startDirectory, binary), { machine, max });
      return { verdict, passed: `highest GLIBC symbol: ${verdict.facts?.glibc ?? 'none'}` };
    });
  },
);
