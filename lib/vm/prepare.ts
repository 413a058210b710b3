// SPDX-License-Identifier: Apache-2.0

/** From what the bundle is to be to its plan: the tools are asked, and nothing else is started. */

import { verifyWritable } from '../files.ts';
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
  verifyWritable(config.folder, `set ${BUNDLE_VARIABLES.folder} to another folder`);
  try {
    return { config, way: { kind: 'build', stage: await prepareStage(bench, config.build) } };
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    const { provenInstead } = await import('./proven.ts');
    return { config, way: { kind: 'proven', bundle: await provenInstead(config, error), lack: error } };
  }
}
