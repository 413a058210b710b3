// SPDX-License-Identifier: Apache-2.0

/**
 * A launch: flags and environment → settings → preflight → steps → exec, the same for every
 * driver. A dry run prints the steps that a run would execute.
 */

import { dirname, join } from 'node:path';
import { featuresFor, type LaunchFeatures, launchFeatures } from '../cargo/features.ts';
import { findToolchain } from '../cargo/toolchain.ts';
import { findCheckout } from '../checkout.ts';
import type { TaskContext } from '../cli/task.ts';
import { Problems } from '../cli/validation.ts';
import { binariesOf, type LaunchBuildConfig, resolveLaunchBuildConfig } from '../dev-build/config.ts';
import type { Engine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { verifyWritable } from '../fs/atomic-write.ts';
import { holderText, type Lock, lockHolder, takeLock } from '../fs/lock.ts';
import { invokerOf } from '../fs/ownership.ts';
import { makePrivateDirectory } from '../fs/private-directory.ts';
import { thisHost } from '../host.ts';
import { meanwhile } from '../meanwhile.ts';
import { COMPONENTS } from '../product.ts';
import { LAUNCH_VARIABLES, type LaunchFlags, resolveSettings, type Settings } from './config.ts';
import type { DriverRecord, OpenedDriver, Preparation } from './drivers/types.ts';
import { verifyPortFree } from './port.ts';
import { metadataPath } from './registration.ts';
import type { LaunchPlan } from './steps.ts';

/**
 * Starts a gateway with a driver: builds it, and lets it take this process's place.
 *
 * @param engine the engine that has answered already, where the launcher was chosen by it
 * @throws TaskError: 2 with everything that is wrong before anything is built, else the status of what failed
 */
export async function launch(
  ctx: TaskContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: Engine,
): Promise<void> {
  const plan = await planLaunch(ctx, record, flags, engine);
  const { execute, dryRunLines, launchSteps } = await import('./steps.ts');
  const steps = launchSteps(ctx, plan);
  if (flags['dry-run']) {
    for (const line of dryRunLines(ctx, plan, steps)) ctx.terminal.result(line);
    return;
  }
  const { settings } = plan;
  makePrivateDirectory(settings.stateSource, settings.stateDirectory, settings.owners);
  const lock = await lockState(settings, record);
  try {
    process.exitCode = await execute(ctx, plan, steps);
  } finally {
    await lock.release();
  }
}

async function planLaunch(
  ctx: TaskContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine: Engine | undefined,
): Promise<LaunchPlan> {
  const { env, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const platform = process.platform;
  const source = { env, startDirectory, root, platform, invoker: invokerOf(env), flags, problems };
  const settings = resolveSettings(record, source);
  const driver = record.open(source, settings, engine);
  problems.attempt(() => refuseHeld(settings), undefined);
  problems.attempt(() => verifyRegistry(settings), undefined);
  const [preparation] = await Promise.all([
    prepareBuild(ctx, driver, root, problems),
    problems.ask(() => verifyPortFree(LAUNCH_VARIABLES.port, settings.bindAddress, settings.port)),
  ]);
  problems.throwIfAny(terminal);
  const { decided, build } = preparation as NonNullable<typeof preparation>;
  return { record, settings, driver, preparation: decided, build };
}

/**
 * Asks the tools, the driver's engine and cargo's configuration, in the order in which they need
 * each other; whatever one of them lacks, the next is asked too.
 *
 * @returns `undefined` where something is missing
 */
async function prepareBuild(ctx: TaskContext, driver: OpenedDriver, root: string, problems: Problems) {
  const { runner, env, startDirectory } = ctx;
  const toolchain = await problems.ask(() => findToolchain(runner, env, root, startDirectory, false));
  const binaries = [COMPONENTS.gateway, ...driver.binaries];
  const known = toolchain && (await problems.ask(() => launchFeatures(runner, env, root, toolchain, binaries)));
  const features = known ?? new Map();
  const [decided, { prepareLaunchBuild }] = await Promise.all([
    problems.ask(() => driver.prepare(ctx, features)),
    meanwhile(() => import('../dev-build/execute.ts')),
    meanwhile(() => import('./steps.ts')),
  ]);
  if (toolchain === undefined || decided === undefined) return undefined;
  const config = buildConfig(ctx, root, decided, features);
  const build = await problems.ask(() => prepareLaunchBuild(ctx, config, toolchain));
  return build && { decided, build };
}

function buildConfig(
  ctx: TaskContext,
  root: string,
  decided: Preparation,
  features: LaunchFeatures,
): LaunchBuildConfig {
  const { env, startDirectory } = ctx;
  const config = resolveLaunchBuildConfig(env, root, startDirectory, thisHost(), decided.build);
  // The tag of an image that is published has nothing to do with a launch, and cargo would bake it in.
  const closed = env.IMAGE_TAG === undefined ? {} : { IMAGE_TAG: undefined };
  return { ...config, features: featuresFor(features, binariesOf(config)), env: { ...closed, ...config.env } };
}

/** The gateway is registered when everything else is done, which must not be the end of it. */
function verifyRegistry(settings: Settings): void {
  const directory = dirname(metadataPath(settings.configHome, settings.name));
  verifyWritable(directory, 'set XDG_CONFIG_HOME to another directory');
}

function lockPath(settings: Settings): string {
  return join(settings.stateDirectory, '.launch.lock');
}

function refuseHeld(settings: Settings): void {
  const holder = lockHolder(lockPath(settings));
  if (holder === undefined) return;
  throw usageError(
    `${settings.stateDirectory} is in use by ${holderText(holder)}; stop that gateway, or set ${settings.stateSource} to another directory`,
  );
}

/** The gateway keeps the lock: it runs as this very process. */
async function lockState(settings: Settings, record: DriverRecord): Promise<Lock> {
  const taken = await takeLock(lockPath(settings), `gateway ${settings.name} with ${record.name}`);
  if ('release' in taken) return taken;
  refuseHeld(settings);
  return lockState(settings, record);
}
