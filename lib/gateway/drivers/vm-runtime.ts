// SPDX-License-Identifier: Apache-2.0

/** The VM runtime that the driver embeds: whether every file of it is there, and setting it up where one is not. */

import type { Workbench } from '../../cli/task.ts';
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
export function runtimeStep(bench: Workbench, root: string, folder: string, platform: NodeJS.Platform): Step[] {
  const missing = missingRuntime(folder, platform);
  if (missing.length === 0) return [];
  if (findProgram('mise', bench.env) === undefined) {
    throw usageError(
      `the VM runtime in ${folder} lacks ${missing.join(', ')}, and mise, which sets it up, is not on PATH; ` +
        'install mise (https://mise.jdx.dev) and try again',
    );
  }
  const setup = command(['mise', 'run', 'vm:setup'], {
    cwd: root,
    env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: folder },
    asInvoker: true,
  });
  return [
    {
      name: 'runtime',
      title: `VM runtime (${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing)`,
      lines: [bench.door.describe(setup)],
      run: async () => {
        await bench.door.run(setup);
        const still = missingRuntime(folder, platform);
        if (still.length === 0) return;
        throw failure(
          `vm:setup has ended, but the VM runtime in ${folder} still lacks ${still.join(', ')}; run it again`,
        );
      },
    },
  ];
}
