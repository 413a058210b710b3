// SPDX-License-Identifier: Apache-2.0

/**
 * A launch: configuration → preflight → steps → exec, the same for every driver. A dry run prints the steps that a run
 * would execute.
 */

import type { RunnerContext } from '../build-env.ts';
import { refuseMissing } from '../cargo/settings.ts';
import { findCheckout } from '../checkout.ts';
import { Problems } from '../cli/problems.ts';
import { closedToolchain, knownTools } from '../dev-build/execute.ts';
import { planDevBuild } from '../dev-build/plan.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { makePrivateDirectory, ownersOf } from '../fs/private-directory.ts';
import { notePlaces, type Place } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { COMPONENTS } from '../product.ts';
import { type Config, type LaunchContext, type LaunchFlags, resolveConfig } from './config.ts';
import type { DriverRecord, PrepareDriver } from './drivers/types.ts';
import { verifyOwnPorts } from './own-settings.ts';
import { type LaunchPlan, type LaunchSteps, launchSteps, registryPlaces, statePlaces } from './plan.ts';
import { verifyPortFree } from './port.ts';
import { verifyNameFree } from './registration.ts';
import { execGateway } from './replace-process.ts';
import { bannerLines, dryRunLines } from './report.ts';
import { type OwnDirectory, takeDirectory, verifyUnused } from './state-lock.ts';

/**
 * Starts a gateway with a driver: builds it, and lets it replace this process.
 * @param engine the engine that has responded already, where the driver was selected by it
 * @returns the gateway's exit status, where the process could not be replaced
 * @throws TaskError: 2 with everything that is wrong before anything is built, else the status of what failed
 */
export async function launch(
  taskCtx: RunnerContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: LaunchEngine,
): Promise<number> {
  const { terminal } = taskCtx;
  const ctx = launchContext(taskCtx, flags, engine);
  const { plan, steps } = await planLaunch(ctx, record);
  if (flags['dry-run']) {
    terminal.result(...dryRunLines(ctx, plan, steps));
    return 0;
  }
  const { config } = plan;
  makePrivateDirectory(config.stateSource, config.stateDirectory, ownersOf(ctx.invoker?.uid));
  try {
    await takeDirectory(ctx, stateOf(config), `gateway ${config.name} with ${record.name}`);
    return await executeSteps(ctx, plan, steps);
  } finally {
    for (const lock of ctx.locks) lock.release();
  }
}

/** The flags of a launch that is only planned. */
export const LOOKING: LaunchFlags = { 'dry-run': true, activate: false, 'no-activate': false };

/** @throws usageError without a checkout */
export function launchContext(ctx: RunnerContext, flags: LaunchFlags, engine?: LaunchEngine): LaunchContext {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  const own = { problems: new Problems(), locks: [] };
  return { ...ctx, ...own, root, host: thisHost(), invoker: ctx.runner.invoker, flags, engine };
}

/**
 * Plans a launch; nothing but probes is started.
 * @throws PreflightError with everything that is wrong
 */
export async function planLaunch(
  ctx: LaunchContext,
  record: DriverRecord,
): Promise<{ readonly plan: LaunchPlan; readonly steps: LaunchSteps }> {
  const { problems, terminal } = ctx;
  const config = resolveConfig(record, ctx);
  const prepareDriver = record.open(ctx, config);
  const [prepared] = await Promise.all([prepare(ctx, record, config, prepareDriver), verifyOwn(config, ctx)]);
  const plan = prepared && { record, config, ...prepared };
  const steps = plan && problems.attempt(() => launchSteps(ctx, plan));
  const own = [statePlaces, registryPlaces].flatMap((places) => problems.attempt(() => places(config)) ?? []);
  notePlaces(problems, [...own, ...(steps === undefined ? [] : placesOf(steps))]);
  problems.throwIfAny(terminal);
  if (plan === undefined || steps === undefined) throw new TypeError('a launch that is not planned has a problem');
  return { plan, steps };
}

function placesOf({ before, build, after }: LaunchSteps): Place[] {
  return [...before, build, ...after].flatMap(({ writes }) => writes ?? []);
}

/** Checks that no other gateway has the state directory or the ports. */
async function verifyOwn(config: Config, { env, problems }: LaunchContext): Promise<void> {
  await Promise.all([
    problems.attemptAsync(async () => verifyUnused(stateOf(config))),
    problems.attemptAsync(async () => verifyPortFree(config.bindAddress, config.port)),
    problems.attemptAsync(async () => verifyNameFree(config)),
    problems.attemptAsync(() => verifyOwnPorts(config, env)),
  ]);
}

/**
 * Probes the tools and the driver's engine in the order in which they need each other; whatever one of them misses, the
 * next is probed too.
 * @returns `undefined` where something is wrong
 */
async function prepare(
  ctx: LaunchContext,
  record: DriverRecord,
  config: Config,
  prepareDriver: PrepareDriver,
): Promise<Pick<LaunchPlan, 'preparation' | 'build' | 'toolchain'> | undefined> {
  const { host, problems, root } = ctx;
  const toolchain = await problems.attemptAsync(() => closedToolchain(ctx, root));
  problems.attempt(() => refuseMissing(toolchain?.missingPrograms ?? []));
  const binaries = [COMPONENTS.gateway, ...record.binaries];
  const known =
    toolchain && (await problems.attemptAsync(() => knownTools(ctx, root, config.build, binaries, toolchain)));
  const tools = known ?? (toolchain && { toolchain, features: new Map() });
  const preparation = await problems.attemptAsync(() => prepareDriver(tools));
  if (tools === undefined || preparation === undefined) return undefined;
  const plan = problems.attempt(() => {
    const wishes = { supervisor: undefined, others: [], env: {}, ...preparation.wishes };
    return planDevBuild({ ...wishes, root, host, build: config.build }, tools.toolchain, tools.features);
  });
  return plan && { preparation, build: plan, toolchain: tools.toolchain };
}

/** Executes the steps, and replaces this process by the gateway. */
async function executeSteps(ctx: LaunchContext, plan: LaunchPlan, steps: LaunchSteps): Promise<number> {
  const { terminal } = ctx;
  for (const step of steps.before) await terminal.section(step.name, () => step.run(), step.title);
  const build = await terminal.section(steps.build.name, () => steps.build.run(), steps.build.title);
  for (const step of steps.after) {
    for (const lock of ctx.locks) lock.verifyHeld();
    await terminal.section(step.name, () => step.run(build), step.title);
  }
  for (const line of bannerLines(ctx, plan)) terminal.say(line);
  return execGateway(ctx, plan, build.gateway);
}

/** Where a launch runs, and nobody else may. */
export function stateOf({ stateDirectory, stateSource }: Config): OwnDirectory {
  return { path: stateDirectory, source: stateSource, lock: '.launch.lock' };
}
