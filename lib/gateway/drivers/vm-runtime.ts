// SPDX-License-Identifier: Apache-2.0

/** The VM runtime that the driver embeds: setting it up where it is not complete. */

import { readVariable } from '../../cli/env.ts';
import { resolveRuntimeConfig } from '../../vm/runtime/config.ts';
import { prepareSetup } from '../../vm/runtime/setup.ts';
import { defectsText, runtimeDefects, vmPlatformOf } from '../../vm/runtime-files.ts';
import type { LaunchContext } from '../config.ts';
import type { Step } from './types.ts';

/**
 * The step that sets the runtime up, as `vm:setup` does; empty where it is complete. A driver that is built with a part
 * missing fails only when a sandbox is started, so nothing is built before.
 * @throws usageError for a machine without a VM driver, or a directory that cannot be used
 */
export async function runtimeStep(ctx: LaunchContext, directory: string): Promise<Step[]> {
  const { env, host, root, startDirectory } = ctx;
  const defects = runtimeDefects(directory, vmPlatformOf(host));
  if (defects.length === 0) return [];
  const isFromSource = readVariable(env, 'FROM_SOURCE');
  const { lines, places, run } = await prepareSetup(
    ctx,
    resolveRuntimeConfig(env, root, startDirectory, host),
    isFromSource,
  );
  return [{ name: 'runtime', title: `VM runtime: ${defectsText(defects)}`, lines, writes: places, run }];
}
