// SPDX-License-Identifier: Apache-2.0

/** `npm run merge -- COPY`: puts the suite into a copy of OpenShell, in place of the bash tasks. */

import { runTask } from '../../lib/cli/task.ts';
import { READS } from '../../lib/cli/variables.ts';

await runTask(
  import.meta.url,
  {
    name: 'test/merge/run.ts',
    summary:
      'Put the suite into the working tree of a copy of OpenShell, in place of the bash tasks (docs/merging.md).',
    positionals: { copy: { help: 'The copy: a clone without changes.', count: 'one' } },
    flags: { 'dry-run': { help: 'Print what would change.' } },
    variables: READS.guard,
  },
  async (ctx, { positionals, flags }) => {
    const { withRunner } = await import('../../lib/build-env.ts');
    const { merge } = await import('./execute.ts');
    await merge(await withRunner(ctx), positionals.copy, flags['dry-run']);
  },
);
