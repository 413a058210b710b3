// SPDX-License-Identifier: Apache-2.0

/** The VM runtime that the driver embeds: setting it up where it is not complete. */

import { readVariable } from '../../cli/env.ts';
import { usageError } from '../../errors.ts';
import { PINS_PATH, resolveRuntimeConfig } from '../../vm/runtime/config.ts';
import { executeRuntime } from '../../vm/runtime/execute.ts';
import { planDownload } from '../../vm/runtime/plan.ts';
import { runtimeLines } from '../../vm/runtime/report.ts';
import { runtimePlaces } from '../../vm/runtime/stage.ts';
import { judgeRuntime } from '../../vm/runtime/trust.ts';
import { defectsText, runtimeDefects, vmPlatformOf } from '../../vm/runtime-files.ts';
import type { LaunchContext } from '../config.ts';
import type { Step } from './types.ts';

/**
 * The step that downloads the runtime, as `vm:setup` does; where it is complete, one that warns if nothing vouches for
 * it. A driver that is built with a part missing fails only when a sandbox is started, so nothing is built before.
 * @param wanted gets the SHA-256 of each file that the driver has to have in it
 * @throws usageError for a machine without a VM driver, a directory that cannot be used, or where the runtime is to be
 *   built, which takes too long for a launch
 */
export function runtimeStep(ctx: LaunchContext, directory: string, wanted: Record<string, string>): Step[] {
  const { env, host, root, startDirectory } = ctx;
  const platform = vmPlatformOf(host);
  const judge = () => {
    const { distrust, files } = judgeRuntime(ctx, { directory, platform, release: { pinsPath: PINS_PATH } });
    Object.assign(wanted, files);
    return distrust;
  };
  const defects = runtimeDefects(directory, platform);
  if (defects.length === 0) return distrustStep(ctx, judge());
  const title = `VM runtime: ${defectsText(defects)}`;
  if (readVariable(env, 'FROM_SOURCE')) {
    throw usageError(`${title}, and FROM_SOURCE is set; build it first: mise run vm:setup -- --from-source`);
  }
  const plan = planDownload(ctx, resolveRuntimeConfig(env, root, startDirectory, host), false, true);
  return [
    {
      name: 'runtime',
      title,
      lines: runtimeLines(plan),
      writes: runtimePlaces(directory),
      run: async () => {
        await executeRuntime(ctx, plan);
        for (const step of distrustStep(ctx, judge())) await step.run();
      },
    },
  ];
}

/** A runtime that somebody else has put there is used, and not without a word: it runs outside of any sandbox. */
function distrustStep(ctx: LaunchContext, text: string | undefined): Step[] {
  if (text === undefined) return [];
  return [
    {
      name: 'runtime',
      title: 'VM runtime that nothing vouches for',
      lines: [`# ${text}`],
      run: async () => ctx.terminal.warn(text),
    },
  ];
}
