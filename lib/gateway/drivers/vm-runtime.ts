// SPDX-License-Identifier: Apache-2.0

/** The VM runtime that the driver embeds: whether every file of it is there, and setting it up where one is not. */

import type { TaskContext } from '../../cli/task.ts';
import { failure, usageError } from '../../errors.ts';
import { command } from '../../process/command.ts';
import { findProgram } from '../../process/which.ts';
import { missingRuntime } from '../../vm/runtime-files.ts';
import type { Step } from './types.ts';

/**
 * The step that sets the runtime up; none where it is complete. A driver that is built with a part
 * missing fails only when a sandbox is started, so nothing is built before.
 *
 * @throws usageError where the step needs mise and it is not here
 */
export function runtimeStep(ctx: TaskContext, root: string, directory: string, platform: NodeJS.Platform): Step[] {
  const missing = missingRuntime(directory, platform);
  if (missing.length === 0) return [];
  if (findProgram('mise', ctx.env) === undefined) {
    throw usageError(
      `the VM runtime in ${directory} lacks ${missing.join(', ')}, and mise, which sets it up, is not on PATH; ` +
        'install mise (https://mise.jdx.dev) and try again',
    );
  }
  const setup = command(['mise', 'run', 'vm:setup'], {
    cwd: root,
    env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory },
    asInvoker: true,
  });
  return [
    {
      name: 'runtime',
      title: `VM runtime (${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing)`,
      lines: [ctx.runner.describe(setup)],
      run: async () => {
        await ctx.runner.run(setup);
        const still = missingRuntime(directory, platform);
        if (still.length === 0) return;
        throw failure(
          `vm:setup has ended, but the VM runtime in ${directory} still lacks ${still.join(', ')}; run it again`,
        );
      },
    },
  ];
}
