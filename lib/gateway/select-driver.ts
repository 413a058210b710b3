// SPDX-License-Identifier: Apache-2.0

/**
 * `gateway`: selects the driver, and launches with its record in this very process. The driver is that of `--driver`,
 * then `OPENSHELL_DRIVERS`, then kubernetes inside a cluster, then the container engine of this machine by the rule of
 * every other task, of those whose API a gateway can use.
 */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { helpText, parseArguments } from '../cli/args.ts';
import { asDryRun, Unknowns } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { detectEngine } from '../engine/detect.ts';
import { forLaunch } from '../engine/gateway-engine.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { thisHost } from '../host.ts';
import type { DriverName, LaunchFlags } from './config.ts';
import { LAUNCHERS } from './declarations.ts';
import { DRIVERS, driverOf } from './drivers/index.ts';
import { launch } from './execute.ts';

/** Launches with the driver that is selected; `further` are the arguments after `--`, for the driver's launcher. */
export async function launchSelected(
  taskCtx: RunnerContext,
  own: LaunchFlags & { readonly driver: string | undefined },
  further: readonly string[],
): Promise<number> {
  const asks = (...options: readonly string[]) => further.some((argument) => options.includes(argument));
  const dry = taskCtx.unknowns === undefined && asks('--dry-run') ? asDryRun(taskCtx) : taskCtx;
  // No launcher needs an engine for its help.
  const ctx = dry.unknowns === undefined && asks('--help', '-h') ? { ...dry, unknowns: new Unknowns() } : dry;
  const { driver, engine } = await selectDriver(ctx, own.driver);
  const { flags, help } = parseArguments(LAUNCHERS[driver], further);
  if (help) {
    ctx.terminal.result(...helpText(LAUNCHERS[driver]).trimEnd().split('\n'));
    return 0;
  }
  const both: LaunchFlags = {
    ...flags,
    'dry-run': own['dry-run'] || flags['dry-run'],
    activate: own.activate || flags.activate,
    'no-activate': own['no-activate'] || flags['no-activate'],
  };
  return launch(ctx, DRIVERS[driver], both, engine);
}

/** What flag and environment name; `undefined` where they name nothing. Pure. @throws usageError where both do */
export function namedDriver(
  flag: string | undefined,
  env: Environment,
): { readonly driver: DriverName; readonly reason: string } | undefined {
  const variable = readVariable(env, 'OPENSHELL_DRIVERS');
  if (flag !== undefined && variable !== undefined) {
    throw usageError(`--driver is ${shown(flag)} and OPENSHELL_DRIVERS is ${shown(variable)}; give one of them`);
  }
  if (flag !== undefined) return { driver: driverOf('--driver', flag), reason: '--driver' };
  if (variable !== undefined) return { driver: driverOf('OPENSHELL_DRIVERS', variable), reason: 'OPENSHELL_DRIVERS' };
  const isInCluster = readVariable(env, 'KUBERNETES_SERVICE_HOST') !== undefined;
  return isInCluster ? { driver: 'kubernetes', reason: 'KUBERNETES_SERVICE_HOST is set' } : undefined;
}

/** Selects, and says what and why; gives the engine that has responded where the choice depended on it. */
export async function selectDriver(
  ctx: RunnerContext,
  flag: string | undefined,
): Promise<{ readonly driver: DriverName; readonly reason: string; readonly engine?: LaunchEngine }> {
  const named = namedDriver(flag, ctx.env);
  if (named !== undefined) {
    ctx.terminal.say(`driver ${named.driver} (${named.reason})`);
    return named;
  }
  const purpose = forLaunch(ctx, thisHost().platform);
  const engine = await detectEngine(ctx, findCheckout(ctx.env, ctx.startDirectory), purpose);
  return { driver: engine.record.name, reason: engine.reason, engine };
}
