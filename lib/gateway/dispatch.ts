// SPDX-License-Identifier: Apache-2.0

/** `gateway`: chooses a driver, and launches with its record in this very process. */

import { parseArguments } from '../args.ts';
import type { Workbench } from '../task.ts';
import { LAUNCHERS } from './arguments.ts';
import { chooseDriver } from './choose.ts';
import { launch } from './launch.ts';
import { recordOfDriver } from './records.ts';
import type { LaunchFlags } from './settings.ts';

/**
 * Launches with the driver that is chosen.
 *
 * @param own the flags that `gateway` itself was given
 * @param words what stands behind `--`, for the driver's launcher
 */
export async function launchChosen(
  bench: Workbench,
  own: LaunchFlags & { readonly driver: string | undefined },
  words: readonly string[],
): Promise<void> {
  const { driver, engine } = await chooseDriver(bench, own.driver);
  const { flags, help } = parseArguments(LAUNCHERS[driver], words);
  if (help) {
    const { helpText } = await import('../help.ts');
    process.stdout.write(helpText(LAUNCHERS[driver]));
    return;
  }
  const both: LaunchFlags = {
    ...flags,
    'dry-run': own['dry-run'] || flags['dry-run'],
    activate: own.activate || flags.activate,
    'no-activate': own['no-activate'] || flags['no-activate'],
  };
  await launch(bench, await recordOfDriver(driver), both, engine);
}
