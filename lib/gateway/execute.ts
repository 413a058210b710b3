// SPDX-License-Identifier: Apache-2.0

/**
 * A launch: flags and environment → settings → preflight → steps → hand-over, the same for every
 * driver. A dry run prints the steps that a run would carry out.
 */

import { dirname, join } from 'node:path';
import { featuresFor, type LaunchFeatures, launchFeatures } from '../cargo/features.ts';
import { findToolchain } from '../cargo/toolchain.ts';
import { findCheckout } from '../checkout.ts';
import type { Workbench } from '../cli/task.ts';
import { Problems } from '../cli/validation.ts';
import { binariesOf, type LaunchBuildConfig, resolveLaunchBuildConfig } from '../dev-build/config.ts';
import type { Engine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { verifyWritable } from '../fs/atomic-write.ts';
import { holderText, type Lock, lockHolder, takeLock } from '../fs/lock.ts';
import { invokerOf } from '../fs/ownership.ts';
import { makePrivateFolder } from '../fs/private-directory.ts';
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
  bench: Workbench,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: Engine,
): Promise<void> {
  const plan = await planLaunch(bench, record, flags, engine);
  const { carryOut, dryRunLines, launchSteps } = await import('./steps.ts');
  const steps = launchSteps(bench, plan);
  if (flags['dry-run']) {
    for (const line of dryRunLines(bench, plan, steps)) bench.terminal.result(line);
    return;
  }
  const { settings } = plan;
  makePrivateFolder(settings.stateSource, settings.stateDirectory, settings.owners);
  const lock = await lockState(settings, record);
  try {
    process.exitCode = await carryOut(bench, plan, steps);
  } finally {
    await lock.release();
  }
}

async function planLaunch(
  bench: Workbench,
  record: DriverRecord,
  flags: LaunchFlags,
  engine: Engine | undefined,
): Promise<LaunchPlan> {
  const { env, startDirectory, terminal } = bench;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const platform = process.platform;
  const source = { env, startDirectory, root, platform, invoker: invokerOf(env), flags, problems };
  const settings = resolveSettings(record, source);
  const driver = record.open(source, settings, engine);
  problems.attempt(() => refuseHeld(settings), undefined);
  problems.attempt(() => verifyRegistry(settings), undefined);
  const [preparation] = await Promise.all([
    prepareBuild(bench, driver, root, problems),
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
async function prepareBuild(bench: Workbench, driver: OpenedDriver, root: string, problems: Problems) {
  const { door, env, startDirectory } = bench;
  const toolchain = await problems.ask(() => findToolchain(door, env, root, startDirectory, false));
  const binaries = [COMPONENTS.gateway, ...driver.binaries];
  const known = toolchain && (await problems.ask(() => launchFeatures(door, env, root, toolchain, binaries)));
  const features = known ?? new Map();
  const [decided, { prepareLaunchBuild }] = await Promise.all([
    problems.ask(() => driver.prepare(bench, features)),
    meanwhile(() => import('../dev-build/execute.ts')),
    meanwhile(() => import('./steps.ts')),
  ]);
  if (toolchain === undefined || decided === undefined) return undefined;
  const config = buildConfig(bench, root, decided, features);
  const build = await problems.ask(() => prepareLaunchBuild(bench, config, toolchain));
  return build && { decided, build };
}

function buildConfig(
  bench: Workbench,
  root: string,
  decided: Preparation,
  features: LaunchFeatures,
): LaunchBuildConfig {
  const { env, startDirectory } = bench;
  const config = resolveLaunchBuildConfig(env, root, startDirectory, thisHost(), decided.build);
  // The tag of an image that is published has nothing to do with a launch, and cargo would bake it in.
  const closed = env.IMAGE_TAG === undefined ? {} : { IMAGE_TAG: undefined };
  return { ...config, features: featuresFor(features, binariesOf(config)), env: { ...closed, ...config.env } };
}

/** The gateway is registered when everything else is done, which must not be the end of it. */
function verifyRegistry(settings: Settings): void {
  const folder = dirname(metadataPath(settings.configHome, settings.name));
  verifyWritable(folder, 'set XDG_CONFIG_HOME to another folder');
}

function lockPath(settings: Settings): string {
  return join(settings.stateDirectory, '.launch.lock');
}

function refuseHeld(settings: Settings): void {
  const holder = lockHolder(lockPath(settings));
  if (holder === undefined) return;
  throw usageError(
    `${settings.stateDirectory} is in use by ${holderText(holder)}; stop that gateway, or set ${settings.stateSource} to another folder`,
  );
}

/** The gateway keeps the lock: it runs as this very process. */
async function lockState(settings: Settings, record: DriverRecord): Promise<Lock> {
  const taken = await takeLock(lockPath(settings), `gateway ${settings.name} with ${record.name}`);
  if ('release' in taken) return taken;
  refuseHeld(settings);
  return lockState(settings, record);
}
