// SPDX-License-Identifier: Apache-2.0

/** A launch: configuration → preflight → steps (a dry run prints them) → exec, the same for every driver. */

import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { refuseMissing } from '../cargo/settings.ts';
import { findCheckout } from '../checkout.ts';
import { textOf } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { closedToolchain, knownTools } from '../dev-build/execute.ts';
import { planDevBuild } from '../dev-build/plan.ts';
import type { LaunchEngine } from '../engine/types.ts';
import { usageError } from '../errors.ts';
import { type Held, holderText, type Lock, takeLock, whoHolds } from '../fs/lock.ts';
import { asOwner } from '../fs/ownership.ts';
import { makePrivateDirectory, notePlaces, ownersOf } from '../fs/writable-places.ts';
import { thisHost } from '../host.ts';
import { thisProcess } from '../process/identity.ts';
import { COMPONENTS } from '../product.ts';
import { watchCommand } from './activation-watcher.ts';
import { type Config, type DriverRecord, type LaunchContext, resolveConfig } from './config.ts';
import type { DriverName, LaunchFlags } from './declarations.ts';
import { databasePath, gatewayCommand, type LaunchPlan, launchSteps, registryPlaces, statePlaces } from './plan.ts';
import { reachableAddress, verifyPortFree } from './port.ts';
import { register, verifyNameFree } from './registration.ts';
import { bannerLines, dryRunLines } from './report.ts';

/**
 * Builds a gateway with a driver, and lets it replace this process, or else gives its exit status.
 * @param engine the engine that has responded already, where the driver was selected by it
 */
export async function launch(
  taskCtx: RunnerContext,
  record: DriverRecord,
  flags: LaunchFlags,
  engine?: LaunchEngine,
): Promise<number> {
  const { env, terminal } = taskCtx;
  const ctx = launchContext(taskCtx, flags, engine);
  const plan = await planLaunch(ctx, record);
  const { config } = plan;
  for (const name of record.ignored ?? []) {
    if (textOf(env, name) !== undefined)
      terminal.warn(`${name} has no effect: the ${record.name} driver does not read it`);
  }
  if (!/^(?:127\.|::1$)/.test(config.bindAddress)) {
    terminal.warn(`who reaches ${config.bindAddress} can use the gateway without a login (OPENSHELL_BIND_ADDRESS)`);
  }
  if (flags['dry-run']) {
    terminal.result(...dryRunLines(ctx, plan));
    return 0;
  }
  makePrivateDirectory(config.stateSource, config.stateDirectory, ownersOf(ctx.runner.invoker?.uid));
  const lock = await takeLock(lockOf(config), lockedFor(config, record.name));
  if (!('release' in lock)) throw inUse(config, lock);
  try {
    return await executePlan(ctx, plan, lock);
  } finally {
    lock.release();
  }
}

/** The flags of a launch that is only planned. */
export const LOOKING: LaunchFlags = { 'dry-run': true, activate: false, 'no-activate': false };

/** @throws usageError without a checkout */
export function launchContext(ctx: RunnerContext, flags: LaunchFlags, engine?: LaunchEngine): LaunchContext {
  const root = findCheckout(ctx.env, ctx.startDirectory);
  return { ...ctx, problems: new Problems(), root, host: thisHost(), flags, engine };
}

/** Plans a launch; nothing but probes is started. @throws PreflightError with everything that is wrong */
export async function planLaunch(ctx: LaunchContext, record: DriverRecord): Promise<LaunchPlan> {
  const { problems, terminal } = ctx;
  const config = resolveConfig(record, ctx);
  const [prepared] = await Promise.all([
    prepare(ctx, record, config),
    problems.attemptAsync(async () => verifyUnused(config)),
    problems.attemptAsync(async () => verifyPortFree(config.bindAddress, config.port)),
    problems.attemptAsync(async () => verifyNameFree(config)),
  ]);
  const steps = prepared && problems.attempt(() => launchSteps(ctx, record, config, prepared));
  const own = [statePlaces, registryPlaces].flatMap((places) => problems.attempt(() => places(config)) ?? []);
  const all = steps === undefined ? [] : [...steps.before, steps.build, ...steps.after];
  notePlaces(problems, [...own, ...all.flatMap(({ writes }) => writes ?? [])]);
  problems.throwIfAny(terminal);
  if (prepared === undefined || steps === undefined) throw new TypeError('a launch that is not planned has a problem');
  return { record, config, ...prepared, steps };
}

/** Probes the tools and what the driver needs; whatever one of them misses, the next is probed too. */
async function prepare(ctx: LaunchContext, record: DriverRecord, config: Config) {
  const { host, problems, root } = ctx;
  const binaries = [COMPONENTS.gateway, ...record.binaries];
  const findTools = async () => {
    const toolchain = await problems.attemptAsync(() => closedToolchain(ctx, root));
    problems.attempt(() => refuseMissing(toolchain?.missingPrograms ?? []));
    return toolchain && problems.attemptAsync(() => knownTools(ctx, root, config.build, binaries, toolchain));
  };
  const known = findTools();
  const prepared = problems.attemptAsync(() => record.prepare(ctx, config, known));
  const [tools, preparation] = await Promise.all([known, prepared]);
  if (tools === undefined || preparation === undefined) return undefined;
  return problems.attempt(() => {
    const wishes = { supervisor: undefined, others: [], env: {}, ...preparation.wishes };
    const build = planDevBuild({ ...wishes, root, host, build: config.build }, tools.toolchain, tools.features);
    return { preparation, build, toolchain: tools.toolchain };
  });
}

/**
 * Executes the steps, registers the gateway, starts the watcher, and replaces this process by the gateway. A replacement
 * that fails would abort Node, so what can be tried is tried before.
 */
async function executePlan(ctx: LaunchContext, plan: LaunchPlan, lock: Lock): Promise<number> {
  const { runner, signals, startDirectory, terminal } = ctx;
  const { config, preparation, steps } = plan;
  const { bindAddress, configHome, endpoint, isActivated, name, port } = config;
  for (const step of steps.before) await terminal.section(step.name, async () => step.run(), step.title);
  const built = await terminal.section(steps.build.name, () => steps.build.run(), steps.build.title);
  for (const step of steps.after) {
    lock.verifyHeld();
    await terminal.section(step.name, async () => step.run(built), step.title);
  }
  for (const line of bannerLines(ctx, plan)) terminal.say(line);
  accessSync(built.gateway, constants.X_OK);
  // Under sudo the gateway runs as root, and SQLite gives its side files the owner of the database.
  asOwner(databasePath(config), () => closeSync(openSync(databasePath(config), 'a', 0o600)));
  // Either may have been taken since the preflight.
  await Promise.all([verifyPortFree(bindAddress, port), verifyNameFree(config)]);
  signals.throwIfReceived();
  lock.verifyHeld();
  const watched = {
    ...{ name, endpoint, port, address: reachableAddress(bindAddress) },
    ...{ process: thisProcess(), isReplaced: runner.canReplace },
    activateIn: isActivated ? configHome : undefined,
    startedAt: Math.round(performance.timeOrigin),
  };
  // It does nothing before the port responds, and takes its time to start.
  const started = runner.start(watchCommand(watched, startDirectory));
  try {
    register(configHome, config, preparation.metadata);
  } finally {
    await started;
  }
  await lock.keepOnExec();
  return runner.exec(gatewayCommand(ctx, plan, built.gateway));
}

/** A state directory is that of one gateway: from the start of its launch until it ends. */
function lockOf({ stateDirectory, stateSource }: Config) {
  const remedy = `set ${stateSource} to a directory on another file system`;
  return { path: join(stateDirectory, '.launch.lock'), remedy };
}

/** What a launch locks its directory for, in the words of the lock. */
export function lockedFor({ name }: Config, driver: DriverName): string {
  return `gateway ${name} with ${driver}`;
}

/** The other launch or gateway that has the state directory; `undefined` where none has. */
export function whoHasIt(config: Config): Promise<Held | undefined> {
  return whoHolds(lockOf(config));
}

/** @throws usageError saying which other launch or gateway has the state directory */
export async function verifyUnused(config: Config): Promise<void> {
  const held = await whoHasIt(config);
  if (held !== undefined) throw inUse(config, held);
}

function inUse({ stateDirectory: path, stateSource }: Config, held: Held) {
  return usageError(`${path} is in use by ${holderText(held)}; stop it, or set ${stateSource} to another directory`);
}
