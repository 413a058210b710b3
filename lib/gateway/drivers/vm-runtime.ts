// SPDX-License-Identifier: Apache-2.0

/** The VM runtime that the driver embeds: whether every file of it is there, and setting it up where one is missing. */

import { failure } from '../../errors.ts';
import { cmd } from '../../process/command.ts';
import { requireProgram } from '../../process/which.ts';
import { missingRuntime } from '../../vm/runtime-files.ts';
import type { LaunchContext } from '../config.ts';
import type { Step } from './types.ts';

/**
 * The step that sets the runtime up; empty where it is complete. A driver that is built with a part missing fails only
 * when a sandbox is started, so nothing is built before.
 * @throws usageError where the step needs mise and it is not on PATH
 */
export function runtimeStep({ env, host, root, runner }: LaunchContext, directory: string): Step[] {
  const missing = missingRuntime(directory, host.platform);
  if (missing.length === 0) return [];
  const hint = `the VM runtime in ${directory} has no ${missing.join(', ')}, which mise sets up; install it (https://mise.jdx.dev)`;
  requireProgram('mise', env, hint);
  const options = { cwd: root, env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: directory }, asInvoker: true };
  const setup = cmd(options)`mise run vm:setup`;
  return [
    {
      name: 'runtime',
      title: `VM runtime (${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing)`,
      lines: [runner.describe(setup)],
      run: async () => {
        await runner.run(setup);
        const still = missingRuntime(directory, host.platform);
        if (still.length === 0) return;
        throw failure(
          `vm:setup has ended, but the VM runtime in ${directory} still has no ${still.join(', ')}; run it again`,
        );
      },
    },
  ];
}
