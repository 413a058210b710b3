// SPDX-License-Identifier: Apache-2.0

/** The life of a local k3d cluster: created with all that the tasks of Helm need, started, stopped, listed, deleted. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunnerContext, withRunner } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { describeError, failure, InterruptedError, oneLine, shown, TaskError, usageError } from '../errors.ts';
import { thisHost } from '../host.ts';
import { type Command, commandText } from '../process/command.ts';
import { poll } from '../process/poll.ts';
import { Signals } from '../process/signals.ts';
import { addToKubeconfig, removeFromKubeconfig } from './kubeconfig.ts';
import {
  contextOf,
  createCommand,
  imageCommands,
  registriesFile,
  SCRATCH,
  type Subcommand,
  sandboxCommands,
  start,
} from './plan.ts';
import { type PreparedCluster, prepareCluster, requireK3d } from './prepare.ts';
import { createLines, summaryLines } from './report.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMOVAL_TIMEOUT_MS = 120_000;
const ESTABLISHED = { intervalMs: 2000, timeoutMs: 120_000 } as const;

export interface ClusterOptions {
  readonly isPreloadRequired: boolean;
  readonly isDryRun: boolean;
}

/**
 * Does what the subcommand names, or prints the plan.
 * @param platform another one than this machine's
 * @throws TaskError: 2 before anything is changed, else the failed program's own status
 */
export async function manageCluster(
  ctx: RunnerContext,
  subcommand: Subcommand,
  { isDryRun, isPreloadRequired }: ClusterOptions,
  platform: NodeJS.Platform = thisHost().platform,
): Promise<void> {
  const { runner, terminal } = ctx;
  const root = findCheckout(ctx.env, ctx.startDirectory);
  if (isPreloadRequired && subcommand !== 'create') throw usageError('--require-preload is for create; leave it out');
  if (subcommand === 'status') {
    requireK3d(ctx, platform);
    const list = start(root)`k3d cluster list`;
    return terminal.result(...(isDryRun ? runner.describe(list) : await runner.read(list)).split('\n'));
  }
  const prepared = await prepareCluster(ctx, root, subcommand, platform);
  if (subcommand === 'create') {
    if (isDryRun) return terminal.result(...createLines(runner, prepared));
    await create(ctx, prepared, isPreloadRequired);
    terminal.result(...summaryLines(prepared));
    return terminal.say(`done: ${terminal.timings()}`);
  }
  const { cluster, config } = prepared;
  const [isDeletion, name] = [subcommand === 'delete', config.name];
  if (cluster === undefined && !isDeletion) {
    throw usageError(`there is no k3d cluster '${name}'; create it first (mise run helm:k3s:create)`);
  }
  const command = start(root)`k3d cluster ${subcommand} ${name}`;
  if (isDryRun) {
    if (cluster !== undefined) terminal.result(runner.describe(command));
    if (isDeletion) terminal.result(`# writes ${config.kubeconfig}: without the entries of ${contextOf(name)}`);
    return;
  }
  if (cluster !== undefined) await runner.run(command);
  if (!isDeletion) return;
  await removeFromKubeconfig(ctx, config);
  terminal.result(cluster ? `Deleted k3d cluster '${name}'.` : `No k3d cluster named '${name}'.`);
}

async function create(ctx: RunnerContext, prepared: PreparedCluster, isPreloadRequired: boolean): Promise<void> {
  const { terminal } = ctx;
  const { image, name, release } = prepared.config;
  const temporary = mkdtempSync(join(prepared.temporary, SCRATCH));
  try {
    await terminal.section('cluster', () => bringUp(ctx, prepared, temporary), `k3d cluster ${name}`);
    await terminal.section('kubeconfig', () => addToKubeconfig(ctx, prepared.config));
    await terminal.section('agent-sandbox', () => installSandbox(ctx, prepared), `agent-sandbox ${release}`);
    if (image === undefined) return terminal.say('Skipping sandbox image preload.');
    await terminal
      .section('sandbox image', () => preload(ctx, prepared, image, temporary))
      .catch((error) => {
        // Without it the cluster works, only its first sandbox starts later.
        if (isPreloadRequired || !(error instanceof TaskError) || error instanceof InterruptedError) throw error;
        terminal.warn(`the sandbox image is not in the cluster, which works without it: ${describeError(error)}`);
      });
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Creates the cluster, or starts it. */
async function bringUp(ctx: RunnerContext, { cluster, config }: PreparedCluster, temporary: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { credentials, name, port, root } = config;
  if (cluster !== undefined) {
    terminal.say(`k3d cluster '${name}' already exists; its port and its credentials stay as they are`);
    if (cluster.port !== port) terminal.say(`its port is ${cluster.port ?? 'none'}, not ${port}`);
    if (!cluster.isRunning) await runner.run(start(root)`k3d cluster start ${name}`);
    return;
  }
  const registries = registriesFile(config, temporary);
  // JSON is YAML, too, and escapes whatever a password has.
  const text = JSON.stringify({ configs: { 'ghcr.io': { auth: credentials } } });
  if (registries !== undefined) writeFileSync(registries, text, { mode: 0o600 });
  try {
    await runner.run(createCommand(config, temporary));
  } catch (error) {
    // Of its own accord k3d takes back only what has failed, not what was interrupted.
    if (error instanceof InterruptedError) await removeHalf(ctx, config);
    throw error;
  }
}

/** After a signal the task's own runner starts nothing more; this one has signals of its own. */
async function removeHalf(ctx: RunnerContext, { name, root }: PreparedCluster['config']): Promise<void> {
  ctx.terminal.say(`removing what there is of the cluster '${name}'`);
  const { runner } = await withRunner({ ...ctx, signals: new Signals() });
  const result = await runner.probe(start(root)`k3d cluster delete ${name}`, REMOVAL_TIMEOUT_MS);
  if (!result.ok) ctx.terminal.warn(`it cannot be removed: ${oneLine(result.reason)}; run mise run helm:k3s:delete`);
}

/** Installs agent-sandbox, and waits until its resource is known and its controller runs. */
async function installSandbox({ runner, signals }: RunnerContext, { config }: PreparedCluster): Promise<void> {
  const { apply, established, rollout } = sandboxCommands(config);
  await runner.run(apply);
  let last = '';
  const isEstablished = async () => {
    const result = await runner.probe(established, PROBE_TIMEOUT_MS);
    last = result.ok ? result.output : result.reason;
    return (result.ok && last === 'True') || undefined;
  };
  const isDone = await poll(isEstablished, { ...ESTABLISHED, signal: signals.aborted });
  if (isDone === undefined)
    throw failure(`agent-sandbox's resource is not Established after 120 s: '${oneLine(last)}'`);
  await runner.run(rollout);
}

/**
 * Imports the image, unless a server of the cluster has it.
 * @throws TaskError where that fails, or this machine has the image for another platform
 */
async function preload(
  { runner, terminal }: RunnerContext,
  { cluster, config, platform }: PreparedCluster,
  image: string,
  temporary: string,
): Promise<void> {
  const commands = imageCommands(config, image, platform, temporary);
  const probe = (command: Command) => runner.probe(command, PROBE_TIMEOUT_MS);
  const lists = await Promise.all((cluster?.servers ?? []).map((node) => probe(commands.imagesOf(node))));
  if (lists.some((list) => list.ok && list.output.split('\n').includes(image))) {
    return terminal.say(`Sandbox image already present in cluster: ${image}`);
  }
  if (!(await probe(commands.inspect)).ok) await runner.run(commands.pull);
  const found = await runner.read(commands.inspect);
  if (found !== platform) {
    const remedy = `run ${commandText(commands.pull)}, then this again`;
    throw failure(`${image} is here for ${shown(found)}, and the cluster is ${platform}; ${remedy}`);
  }
  await runner.run(commands.save).catch(async (error) => {
    if (error instanceof InterruptedError) throw error;
    // Of an image of several platforms the store may hold only a part.
    await runner.run(commands.pull);
    await runner.run(commands.save);
  });
  await runner.run(commands.import);
}
