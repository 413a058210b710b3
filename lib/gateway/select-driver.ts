// SPDX-License-Identifier: Apache-2.0

/** `gateway`: selects the driver, and launches with its record in this very process. */

import type { RunnerContext } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { helpText, parseArguments } from '../cli/args.ts';
import { asDryRun } from '../cli/dry-run-marks.ts';
import { type Environment, notAllowed, readVariable } from '../cli/env.ts';
import { detectEngine } from '../engine/detect.ts';
import { forLaunch } from '../engine/gateway-engine.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { shown, usageError } from '../errors.ts';
import { thisHost } from '../host.ts';
import { type DriverName, LAUNCHERS, type LaunchFlags } from './declarations.ts';
import { DRIVERS } from './drivers/records.ts';
import { launch } from './execute.ts';

const NAMES = new Map<string, DriverName>([
  ...(['docker', 'podman', 'vm', 'kubernetes'] as const).map((name) => [name, name] as const),
  ['microvm', 'vm'],
  ['k8s', 'kubernetes'],
]);

/** Launches with the driver that is selected; `further` are the arguments after `--`, for the driver's launcher. */
export async function launchSelected(
  taskCtx: RunnerContext,
  { driver: named, ...own }: LaunchFlags & { readonly driver: string | undefined },
  further: readonly string[],
): Promise<number> {
  if (further.some((argument) => ['--help', '-h'].includes(argument))) {
    const { driver } = namedDriver(named, taskCtx.env) ?? { driver: 'docker' };
    taskCtx.terminal.result(...helpText(LAUNCHERS[driver]).trimEnd().split('\n'));
    return 0;
  }
  const ctx = taskCtx.unknowns === undefined && further.includes('--dry-run') ? asDryRun(taskCtx) : taskCtx;
  const { driver, engine } = await selectDriver(ctx, named);
  const given = Object.entries(own).flatMap(([name, isSet]) => (isSet ? [`--${name}`] : []));
  const { flags } = parseArguments(LAUNCHERS[driver], [...given, ...further]);
  return launch(ctx, DRIVERS[driver], flags, engine);
}

/** The driver that a value of a flag or variable means, in any case. @throws usageError that lists the values */
export function driverOf(source: string, value: string): DriverName {
  const name = NAMES.get(value.trim().toLowerCase());
  if (name !== undefined) return name;
  throw notAllowed(source, value, `is one of ${[...NAMES.keys()].join(', ')} (a gateway has one driver)`);
}

/** What flag and environment name; `undefined` where they name nothing. Pure. @throws usageError where both do */
export function namedDriver(flag: string | undefined, env: Environment) {
  const variable = readVariable(env, 'OPENSHELL_DRIVERS');
  if (flag !== undefined && variable !== undefined) {
    throw usageError(`--driver is ${shown(flag)} and OPENSHELL_DRIVERS is ${shown(variable)}; give one of them`);
  }
  const reason = flag === undefined ? 'OPENSHELL_DRIVERS' : '--driver';
  const value = flag ?? variable;
  if (value !== undefined) return { driver: driverOf(reason, value), reason };
  const isInCluster = readVariable(env, 'KUBERNETES_SERVICE_HOST') !== undefined;
  return isInCluster ? { driver: 'kubernetes' as const, reason: 'KUBERNETES_SERVICE_HOST is set' } : undefined;
}

/** Selects, else by the container engine that could carry a launch, which then has responded; says what and why. */
export async function selectDriver(
  ctx: RunnerContext,
  flag: string | undefined,
): Promise<{ readonly driver: DriverName; readonly reason: string; readonly engine?: LaunchEngine }> {
  const named = namedDriver(flag, ctx.env);
  if (named !== undefined) {
    ctx.terminal.say(`driver ${named.driver} (${named.reason})`);
    return named;
  }
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const engine = await detectEngine(ctx, root, forLaunch(ctx, thisHost().platform));
  return { driver: engine.record.name, reason: engine.reason, engine };
}
