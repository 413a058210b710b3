// SPDX-License-Identifier: Apache-2.0

/**
 * A launch: configuration → preflight → steps → exec, the same for every driver. A dry run prints the steps that a run
 * would execute.
 */

import { dirname, join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { featuresByComponent } from '../cargo/features.ts';
import { readWorkspace } from '../cargo/metadata.ts';
import { findToolchain, type Toolchain } from '../cargo/toolchain.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/validation.ts';
import { planDevBuild } from '../dev-build/plan.ts';
import type { Engine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { verifyWritable } from '../fs/atomic-write.ts';
import { holderText, type Lock, lockHolder, takeLock } from '../fs/lock.ts';
import { invokerOf } from '../fs/ownership.ts';
import { makePrivateDirectory } from '../fs/private-directory.ts';
import { thisHost } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import type { KnownTools } from '../stage/execute.ts';
import { type Config, type LaunchFlags, resolveConfig } from './config.ts';
import type { DriverRecord, OpenedDriver } from './drivers/types.ts';
import { execGateway } from './exec.ts';
import { type LaunchPlan, type LaunchSteps, launchSteps } from './plan.ts';
import { verifyPortFree } from './port.ts';
import { metadataPath } from './registration.ts';
import { bannerLines, dryRunLines } from './report.ts';

/**
 * Starts a gateway with a driver: builds it, and lets it take this process's place.
 * @param engine the engine that has responded already, where the launcher was chosen by it
 * @returns the gateway's exit status, where the process could not be replaced
 * @throws TaskError: 2 with everything that is wrong before anything is built, else the status of what failed
 */
export async function launch(
  ctx: RunnerContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: Engine,
): Promise<number> {
  const plan = await planLaunch(ctx, record, flags, engine);
  const steps = launchSteps(ctx, plan);
  if (flags['dry-run']) {
    ctx.terminal.result(...dryRunLines(ctx, plan, steps));
    return 0;
  }
  const { config } = plan;
  makePrivateDirectory(config.stateSource, config.stateDirectory, config.owners);
  const lock = await lockState(config, record);
  try {
    return await executeSteps(ctx, plan, steps);
  } finally {
    await lock.release();
  }
}

async function planLaunch(
  ctx: RunnerContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine: Engine | undefined,
): Promise<LaunchPlan> {
  const { env, startDirectory } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const source = { env, startDirectory, root, host: thisHost(), invoker: invokerOf(env), flags, problems };
  const config = resolveConfig(record, source);
  const driver = record.open(source, config);
  const [prepared] = await Promise.all([prepare(ctx, config, driver, engine, problems), verifyPlace(config, problems)]);
  problems.throwIfAny(ctx.terminal);
  if (prepared === undefined) throw new TypeError('a launch that is not planned has a problem');
  return { record, config, driver, ...prepared };
}

/** Checks the port, the state directory and the registry; a value that is wrong is not tried. */
async function verifyPlace(config: Config, problems: Problems): Promise<void> {
  if (!problems.isEmpty) return;
  problems.attempt(() => refuseHeld(config), undefined);
  problems.attempt(() => verifyRegistry(config), undefined);
  await problems.attemptAsync(() => verifyPortFree('OPENSHELL_SERVER_PORT', config.bindAddress, config.port));
}

/**
 * Probes the tools and the driver's engine in the order in which they need each other; whatever one of them misses, the
 * next is probed too.
 * @returns `undefined` where something is wrong
 */
async function prepare(
  ctx: RunnerContext,
  config: Config,
  driver: OpenedDriver,
  engine: Engine | undefined,
  problems: Problems,
): Promise<Pick<LaunchPlan, 'preparation' | 'build' | 'toolchain'> | undefined> {
  const toolchain = await problems.attemptAsync(() => findToolchain(ctx, config.root, false));
  const known = toolchain && (await problems.attemptAsync(() => knownTools(ctx, config, driver, toolchain)));
  const tools = known ?? (toolchain && { toolchain, features: new Map() });
  const preparation = await problems.attemptAsync(() => driver.prepare(ctx, { config, engine, tools }));
  if (tools === undefined || preparation === undefined) return undefined;
  const build = problems.attempt(() => planBuild(ctx, config, preparation.wishes, tools), undefined);
  return build && { preparation, build, toolchain: tools.toolchain };
}

/**
 * Hands each feature to the binaries of the launch whose packages declare it, in whichever cargo run they are built.
 */
async function knownTools(
  { runner }: RunnerContext,
  { build, root }: Config,
  driver: OpenedDriver,
  toolchain: Toolchain,
): Promise<KnownTools> {
  if (build.features.length === 0) return { toolchain, features: new Map() };
  const workspace = await readWorkspace(runner, toolchain, root, build.targetDirectory);
  const binaries = [COMPONENTS.gateway, ...driver.binaries];
  return { toolchain, workspace, features: featuresByComponent(build.features, binaries, workspace.packages) };
}

function planBuild(
  { env }: RunnerContext,
  { build, host, root }: Config,
  wishes: LaunchPlan['preparation']['wishes'],
  { features, toolchain }: KnownTools,
): LaunchPlan['build'] {
  // The tag of an image that is published has nothing to do with a launch, and cargo would bake it in.
  const closed = env.IMAGE_TAG === undefined ? {} : { IMAGE_TAG: undefined };
  const { jobs, targetDirectory } = build;
  const config = { ...wishes, env: { ...closed, ...wishes.env }, root, host, jobs, targetDirectory };
  return planDevBuild(config, toolchain, features);
}

/** Executes the steps, and replaces this process by the gateway. */
async function executeSteps(ctx: RunnerContext, plan: LaunchPlan, steps: LaunchSteps): Promise<number> {
  const { terminal } = ctx;
  for (const step of steps.before) await terminal.section(step.name, () => step.run(), step.title);
  const build = await terminal.section(steps.build.name, () => steps.build.run(), steps.build.title);
  for (const step of steps.after) await terminal.section(step.name, () => step.run(build), step.title);
  for (const line of bannerLines(plan, terminal.timings())) terminal.say(line);
  return execGateway(ctx, plan, build.gateway);
}

/** The gateway is registered when everything else is done, which must not be the end of it. */
function verifyRegistry(config: Config): void {
  const directory = dirname(metadataPath(config.configHome, config.name));
  verifyWritable(directory, 'set XDG_CONFIG_HOME to another directory');
}

function lockPath(config: Config): string {
  return join(config.stateDirectory, '.launch.lock');
}

function refuseHeld(config: Config): void {
  const holder = lockHolder(lockPath(config));
  if (holder === undefined) return;
  throw usageError(
    `${config.stateDirectory} is in use by ${holderText(holder)}; stop that gateway, or set ${config.stateSource} to another directory`,
  );
}

/** The gateway keeps the lock: it runs as this very process. */
async function lockState(config: Config, record: DriverRecord): Promise<Lock> {
  const taken = await takeLock(lockPath(config), `gateway ${config.name} with ${record.name}`);
  if ('release' in taken) return taken;
  refuseHeld(config);
  return lockState(config, record);
}
