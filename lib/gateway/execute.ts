// SPDX-License-Identifier: Apache-2.0

/** A launch: configuration → preflight → steps (a dry run prints them) → exec, the same for every driver. */

import { accessSync, closeSync, constants, openSync } from 'node:fs';
import type { RunnerContext } from '../build-env.ts';
import { refuseMissing } from '../cargo/settings.ts';
import { findCheckout } from '../checkout.ts';
import { misspelt } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { closedToolchain, knownTools } from '../dev-build/execute.ts';
import { planDevBuild } from '../dev-build/plan.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { asOwner } from '../fs/ownership.ts';
import { makePrivateDirectory, notePlaces, ownersOf } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { thisProcess } from '../process/identity.ts';
import { COMPONENTS } from '../product.ts';
import { watchCommand } from './activation-watcher.ts';
import { type Config, type DriverName, type LaunchContext, type LaunchFlags, resolveConfig } from './config.ts';
import type { DriverRecord, PrepareDriver } from './drivers/types.ts';
import {
  databasePath,
  gatewayCommand,
  type LaunchPlan,
  type LaunchSteps,
  launchSteps,
  registryPlaces,
  statePlaces,
} from './plan.ts';
import { reachableAddress, verifyPortFree } from './port.ts';
import { register, verifyNameFree } from './registration.ts';
import { bannerLines, dryRunLines } from './report.ts';
import { type OwnDirectory, takeDirectory, verifyUnused } from './state-lock.ts';

/**
 * Starts a gateway with a driver: builds it, and lets it replace this process, or else gives its exit status.
 * @param engine the engine that has responded already, where the driver was selected by it
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
  const ours = Object.keys(ctx.env).filter((name) => name.startsWith('OPENSHELL_'));
  for (const { meant, name } of misspelt(ours)) {
    terminal.warn(`${name} has no effect: no task reads it; it may be meant for ${meant}`);
  }
  const { plan, steps } = await planLaunch(ctx, record);
  const { bindAddress } = plan.config;
  if (!/^(?:127\.|::1$)/.test(bindAddress)) {
    terminal.warn(`who reaches ${bindAddress} can use the gateway, which asks for no login (OPENSHELL_BIND_ADDRESS)`);
  }
  if (flags['dry-run']) {
    terminal.result(...dryRunLines(ctx, plan, steps));
    return 0;
  }
  const { config } = plan;
  makePrivateDirectory(config.stateSource, config.stateDirectory, ownersOf(ctx.invoker?.uid));
  try {
    await takeDirectory(ctx, stateOf(config), lockedFor(config, record.name));
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

/** Plans a launch; nothing but probes is started. @throws PreflightError with everything that is wrong */
export async function planLaunch(
  ctx: LaunchContext,
  record: DriverRecord,
): Promise<{ readonly plan: LaunchPlan; readonly steps: LaunchSteps }> {
  const { problems, terminal } = ctx;
  const config = resolveConfig(record, ctx);
  const prepareDriver = record.open(ctx, config);
  const [prepared] = await Promise.all([
    prepare(ctx, record, config, prepareDriver),
    problems.attemptAsync(async () => verifyUnused(stateOf(config))),
    problems.attemptAsync(async () => verifyPortFree(config.bindAddress, config.port)),
    problems.attemptAsync(async () => verifyNameFree(config)),
  ]);
  const plan = prepared && { record, config, ...prepared };
  const steps = plan && problems.attempt(() => launchSteps(ctx, plan));
  const own = [statePlaces, registryPlaces].flatMap((places) => problems.attempt(() => places(config)) ?? []);
  const all = steps === undefined ? [] : [...steps.before, steps.build, ...steps.after];
  notePlaces(problems, [...own, ...all.flatMap(({ writes }) => writes ?? [])]);
  problems.throwIfAny(terminal);
  if (plan === undefined || steps === undefined) throw new TypeError('a launch that is not planned has a problem');
  return { plan, steps };
}

/** Probes the tools and what the driver needs; whatever one of them misses, the next is probed too. */
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
  const tools =
    toolchain && (await problems.attemptAsync(() => knownTools(ctx, root, config.build, binaries, toolchain)));
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
  for (const step of steps.before) await terminal.section(step.name, async () => step.run(), step.title);
  const build = await terminal.section(steps.build.name, async () => steps.build.run(), steps.build.title);
  for (const step of steps.after) {
    for (const lock of ctx.locks) lock.verifyHeld();
    await terminal.section(step.name, async () => step.run(build), step.title);
  }
  for (const line of bannerLines(ctx, plan)) terminal.say(line);
  return execGateway(ctx, plan, build.gateway);
}

/**
 * Registers the gateway, starts the watcher, and replaces this process by the gateway. A replacement that fails would
 * abort Node, so what can be tried is tried before.
 * @throws usageError where the port or the name has been taken since the preflight
 */
async function execGateway(ctx: LaunchContext, plan: LaunchPlan, binary: string): Promise<number> {
  const { locks, runner, signals, startDirectory } = ctx;
  const { config, preparation } = plan;
  const { bindAddress, configHome, endpoint, name, port } = config;
  accessSync(binary, constants.X_OK);
  // Under sudo the gateway runs as root, and SQLite gives its side files the owner of the database.
  asOwner(databasePath(config), () => closeSync(openSync(databasePath(config), 'a', 0o600)));
  await Promise.all([verifyPortFree(bindAddress, port), verifyNameFree(config)]);
  signals.throwIfReceived();
  for (const lock of locks) lock.verifyHeld();
  const watched = {
    process: thisProcess(),
    isReplaced: runner.canReplace,
    address: reachableAddress(bindAddress),
    ...{ port, name, endpoint },
    activateIn: config.isActivated ? configHome : undefined,
    startedAt: Math.round(performance.timeOrigin),
  };
  // It does nothing before the port responds, and takes its time to start.
  const started = runner.start(watchCommand(watched, startDirectory));
  try {
    register(configHome, { name, gateway_endpoint: endpoint, gateway_port: port, ...preparation.metadata });
  } finally {
    await started;
  }
  for (const lock of locks) await lock.keepOnExec();
  return runner.exec(gatewayCommand(ctx, plan, binary));
}

/** Where a launch runs, and nobody else may. */
export function stateOf({ stateDirectory, stateSource }: Config): OwnDirectory {
  return { path: stateDirectory, source: stateSource, lock: '.launch.lock' };
}

/** What a launch locks its directory for, in the words of the lock. */
export function lockedFor({ name }: Config, driver: DriverName): string {
  return `gateway ${name} with ${driver}`;
}
