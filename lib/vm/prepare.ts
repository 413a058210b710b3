// SPDX-License-Identifier: Apache-2.0

/** From what the bundle is to be to its plan: the tools are asked, and nothing else is started. */

import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { usageError } from '../errors.ts';
import { prepareStage } from '../stage/prepare.ts';
import type { Workbench } from '../task.ts';
import { MissingTool } from '../toolchain.ts';
import { BUNDLE_VARIABLES, type BundleConfig } from './bundle-config.ts';
import type { PreparedBundle } from './bundle-plan.ts';

/**
 * Asks what the plan depends on, and plans.
 *
 * @throws usageError where nothing can be built here and no proven bundle is there, or the folder cannot be written
 */
export async function prepareBundle(bench: Workbench, config: BundleConfig): Promise<PreparedBundle> {
  verifyFolder(config.folder);
  try {
    return { config, way: { kind: 'build', stage: await prepareStage(bench, config.build) } };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    const { provenInstead } = await import('./proven.ts');
    return { config, way: { kind: 'proven', bundle: await provenInstead(config, error), lack: error } };
  }
}

/** A compilation of minutes must not end at a folder that cannot be written. */
function verifyFolder(folder: string): void {
  let at = folder;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  try {
    if (!statSync(at).isDirectory()) throw usageError('it is not a folder');
    accessSync(at, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw usageError(
      `${folder} cannot be written to, because of ${at}; set ${BUNDLE_VARIABLES.folder} to another folder`,
      {
        cause: error,
      },
    );
  }
}
