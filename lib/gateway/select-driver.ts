// SPDX-License-Identifier: Apache-2.0

/**
 * The driver of `mise run gateway`: `--driver`, then `OPENSHELL_DRIVERS`, then kubernetes inside a
 * cluster, then the container engine of this machine by the rule of every other task.
 */
/** `gateway`: chooses a driver, and launches with its record in this very process. */

import { findCheckout } from '../checkout.ts';
import { parseArguments } from '../cli/args.ts';
import { type Environment, textOf } from '../cli/env.ts';
import type { TaskContext } from '../cli/task.ts';
import { detectEngine } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import type { LaunchFlags } from './config.ts';
import { recordOfDriver } from './drivers/index.ts';
import { type DriverName, driverOf } from './drivers/types.ts';
import { launch } from './execute.ts';
import { LAUNCHERS } from './flags.ts';

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
export async function chooseDriver(ctx: TaskContext, flag: string | undefined): Promise<DriverChoice> {
  const { runner, env, startDirectory, terminal } = ctx;
  const named = namedDriver(flag, env);
  if (named !== undefined) {
    terminal.say(`driver ${named.driver} (${named.reason})`);
    return { ...named, engine: undefined };
  }
  const engine = await detectEngine(runner, terminal, env, findCheckout(env, startDirectory));
  return { driver: engine.record.name, reason: engine.reason, engine };
}

/**
 * Launches with the driver that is chosen.
 *
 * @param own the flags that `gateway` itself was given
 * @param words what stands behind `--`, for the driver's launcher
 */
export async function launchChosen(
  ctx: TaskContext,
  own: LaunchFlags & { readonly driver: string | undefined },
  words: readonly string[],
): Promise<void> {
  const { driver, engine } = await chooseDriver(ctx, own.driver);
  const { flags, help } = parseArguments(LAUNCHERS[driver], words);
  if (help) {
    const { helpText } = await import('../cli/help.ts');
    process.stdout.write(helpText(LAUNCHERS[driver]));
    return;
  }
  const both: LaunchFlags = {
    ...flags,
    'dry-run': own['dry-run'] || flags['dry-run'],
    activate: own.activate || flags.activate,
    'no-activate': own['no-activate'] || flags['no-activate'],
  };
  await launch(ctx, await recordOfDriver(driver), both, engine);
}
