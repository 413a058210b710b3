// SPDX-License-Identifier: Apache-2.0

/** The engine of a launcher: its driver names it, whatever the environment says of engines. */

import { detectEngine } from '../engine/detect.ts';
import type { Engine, EngineName } from '../engine/engine.ts';
import { ENGINE_VARIABLES } from '../engine/selection.ts';
import type { Workbench } from '../task.ts';

/**
 * Asks the driver's engine.
 *
 * @throws usageError with the engine's own words where it does not answer
 */
export function driverEngine(bench: Workbench, name: EngineName, root: string): Promise<Engine> {
  const others = Object.fromEntries(Object.values(ENGINE_VARIABLES).map((variable) => [variable, undefined]));
  const env = { ...bench.env, ...others, [ENGINE_VARIABLES.explicit]: name, [ENGINE_VARIABLES.quiet]: '1' };
  return detectEngine(bench.door, bench.terminal, env, root);
}
