// SPDX-License-Identifier: Apache-2.0

/**
 * The driver of `mise run gateway`: `--driver`, then `OPENSHELL_DRIVERS`, then kubernetes inside a
 * cluster, then the container engine of this machine by the rule of every other task.
 */

import { findCheckout } from '../checkout.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine } from '../engine/engine.ts';
import { type Environment, textOf } from '../environment.ts';
import { shown, usageError } from '../errors.ts';
import type { Workbench } from '../task.ts';
import { type DriverName, driverOf } from './driver-name.ts';

const DRIVERS_VARIABLE = 'OPENSHELL_DRIVERS';
const CLUSTER_VARIABLE = 'KUBERNETES_SERVICE_HOST';

/** The driver, why, and the engine that has answered where the choice depended on it. */
export interface DriverChoice {
  readonly driver: DriverName;
  readonly reason: string;
  readonly engine: Engine | undefined;
}

/**
 * What flag and environment say; `undefined` where they say nothing. Pure.
 *
 * @throws usageError for a word that is no driver, and where both are given
 */
export function namedDriver(flag: string | undefined, env: Environment): Omit<DriverChoice, 'engine'> | undefined {
  const variable = textOf(env, DRIVERS_VARIABLE);
  if (flag !== undefined && variable !== undefined) {
    throw usageError(`--driver is ${shown(flag)} and ${DRIVERS_VARIABLE} is ${shown(variable)}; give one of them`);
  }
  if (flag !== undefined) return { driver: driverOf('--driver', flag), reason: '--driver' };
  if (variable !== undefined) return { driver: driverOf(DRIVERS_VARIABLE, variable), reason: DRIVERS_VARIABLE };
  if (textOf(env, CLUSTER_VARIABLE) !== undefined)
    return { driver: 'kubernetes', reason: `${CLUSTER_VARIABLE} is set` };
  return undefined;
}

/**
 * Chooses, and says what and why.
 *
 * @throws usageError where nothing is named and no engine answers
 */
export async function chooseDriver(bench: Workbench, flag: string | undefined): Promise<DriverChoice> {
  const { door, env, startDirectory, terminal } = bench;
  const named = namedDriver(flag, env);
  if (named !== undefined) {
    terminal.say(`driver ${named.driver} (${named.reason})`);
    return { ...named, engine: undefined };
  }
  const engine = await detectEngine(door, terminal, env, findCheckout(env, startDirectory));
  return { driver: engine.record.name, reason: engine.reason, engine };
}
