// SPDX-License-Identifier: Apache-2.0

/** The life of a local k3d cluster: created with all that the tasks of Helm need, started, stopped, listed, deleted. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunnerContext, withRunner } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { findEngine, type Purpose, serverArch } from '../engine/detect.ts';
import { START_DOCKER } from '../engine/docker.ts';
import type { Engine } from '../engine/types.ts';
import {
  describeError,
  failure,
  InterruptedError,
  MissingTool,
  naming,
  oneLine,
  shown,
  TaskError,
  usageError,
} from '../errors.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { canConnect, portOwner } from '../gateway/port.ts';
import { thisHost } from '../host.ts';
import { type Command, commandText } from '../process/command.ts';
import { Signals } from '../process/signals.ts';
import { requireProgram } from '../process/which.ts';
import { type ClusterConfig, resolveClusterConfig, type SUBCOMMANDS } from './config.ts';
import { readKubeconfig, updateKubeconfig } from './kubeconfig.ts';
import {
  clusterIn,
  createCommand,
  createLines,
  deleteCommand,
  imageCommands,
  type PreparedCluster,
  SCRATCH_PREFIX,
  sandboxCommands,
  start,
  summaryLines,
} from './plan.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMOVAL_TIMEOUT_MS = 120_000;
const OTHER_CLUSTER = 'use kind or another cluster and name its context in OPENSHELL_E2E_KUBE_CONTEXT';
const CHOICE = { candidates: ['docker'], reason: 'k3d needs it' } as const;
const DOCKER: Purpose<Engine> = {
  failing: 'does not respond',
  alternative: OTHER_CLUSTER,
  look: (name, probes) => probes.responding(name, START_DOCKER),
};

/** Does what the subcommand names, or prints the plan. @param platform another one than this machine's */
export async function manageCluster(
  ctx: RunnerContext,
  subcommand: (typeof SUBCOMMANDS)[number],
  { 'dry-run': isDryRun, 'require-preload': isRequired }: Readonly<Record<'dry-run' | 'require-preload', boolean>>,
  platform: NodeJS.Platform = thisHost().platform,
): Promise<void> {
  const { runner, terminal } = ctx;
  const root = findCheckout(ctx.env, ctx.startDirectory);
  if (isRequired && subcommand !== 'create') throw usageError('--require-preload is for create; leave it out');
  if (subcommand === 'status') {
    await findOrMark(ctx.unknowns, async () => requireK3d(ctx.env, platform));
    const list = start(root)`k3d cluster list`;
    return terminal.result(...(isDryRun ? runner.describe(list) : await runner.read(list)).split('\n'));
  }
  const prepared = await prepare(ctx, root, subcommand, platform);
  if (subcommand === 'create') {
    if (isDryRun) return terminal.result(...createLines(runner, prepared));
    await withScratch((directory) => create(ctx, prepared, isRequired, directory));
    terminal.result(...summaryLines(prepared));
    return terminal.say(`done: ${terminal.timings()}`);
  }
  const { cluster, config, unknown } = prepared;
  if (subcommand === 'delete') return deleteCluster(ctx, prepared, isDryRun);
  if (cluster === undefined && unknown === undefined) {
    throw usageError(`there is no k3d cluster '${config.name}'; create it first (mise run helm:k3s:create)`);
  }
  const command = start(root)`k3d cluster ${subcommand} ${config.name}`;
  const marked = unknown === undefined ? [] : [`# ${unknown}: only where it exists`];
  if (isDryRun) terminal.result(...marked, runner.describe(command));
  else await runner.run(command);
}

/** The kubeconfig is no reason to keep the cluster: where it cannot be used, its entries stay. */
async function deleteCluster(ctx: RunnerContext, { cluster, config, unknown }: PreparedCluster, isDryRun: boolean) {
  const { runner, terminal } = ctx;
  const { kubeconfig, name } = config;
  const problems = new Problems();
  await checkKubeconfig(problems, ctx, config);
  const [problem] = problems.lines;
  if (problem !== undefined) terminal.warn(`what ${kubeconfig} has of the cluster '${name}' stays in it: ${problem}`);
  if (isDryRun) {
    if (unknown !== undefined) terminal.result(`# ${unknown}: only where it exists`);
    if ((cluster ?? unknown) !== undefined) terminal.result(runner.describe(deleteCommand(config, '/')));
    if (problem === undefined) terminal.result(`# writes ${kubeconfig}: without the entries of the cluster '${name}'`);
    return;
  }
  if (cluster !== undefined) await withScratch((directory) => runner.run(deleteCommand(config, directory)));
  if (problem === undefined) await updateKubeconfig(ctx, config, false);
  terminal.result(cluster ? `Deleted k3d cluster '${name}'.` : `No k3d cluster named '${name}'.`);
}

/** Checks everything that the subcommand needs. @throws usageError for the last problem; the others are printed */
async function prepare(ctx: RunnerContext, root: string, subcommand: string, platform: NodeJS.Platform) {
  const problems = new Problems();
  const config = resolveClusterConfig(problems, ctx, root, await branchOf(ctx, root));
  const isCreation = subcommand === 'create';
  if (isCreation) await checkKubeconfig(problems, ctx, config);
  if (isCreation) problems.attempt(temporaryRoot);
  const docker = () => findEngine(ctx, root, CHOICE, DOCKER).then((engine) => serverArch(engine));
  const arch = isCreation ? await problems.attemptAsync(docker) : '';
  const search = async () => {
    requireK3d(ctx.env, platform);
    // Without docker k3d would only say so again.
    return arch === undefined ? undefined : findCluster(ctx, config);
  };
  const marked = mark('cluster', 'k3d does not respond');
  const found = await problems.attemptAsync(() => findOrMark(ctx.unknowns, search, marked));
  const [cluster, unknown] = typeof found === 'string' ? [undefined, found] : [found, undefined];
  if (isCreation && found === undefined) await problems.attemptAsync(() => verifyPort(config));
  problems.throwIfAny(ctx.terminal);
  return { config, cluster, unknown, platform: `linux/${arch}` };
}

async function checkKubeconfig(problems: Problems, ctx: RunnerContext, config: ClusterConfig): Promise<void> {
  // It has to be a file of its own, and is replaced.
  const remedy = 'set HELM_K3S_KUBECONFIG to another file';
  const place = (kind: 'opened' | 'file') => ({ kind, path: config.kubeconfig, remedy });
  problems.attempt(() => notePlaces(problems, [place('opened'), place('file')]));
  const look = async () => {
    requireProgram('kubectl', ctx.env, 'run mise install, or install it');
    await readKubeconfig(ctx, config);
  };
  await problems.attemptAsync(() => findOrMark(ctx.unknowns, look));
}

/** @throws usageError where this is neither macOS nor Linux, MissingTool where it is missing */
function requireK3d(env: Environment, platform: NodeJS.Platform): void {
  const linux = `install it (mise does not on Linux), or ${OTHER_CLUSTER}`;
  const install = new Map<string, string>(Object.entries({ darwin: 'run mise install', linux })).get(platform);
  if (install === undefined) {
    throw usageError(`local clusters are for macOS and Linux, and this is ${platform}; ${OTHER_CLUSTER}`);
  }
  requireProgram('k3d', env, install);
}

async function findCluster({ runner }: RunnerContext, { name, root }: ClusterConfig) {
  const result = await runner.probe(start(root)`k3d cluster list --output json`, PROBE_TIMEOUT_MS);
  if (result.ok) return clusterIn(result.output, name);
  throw new MissingTool(`k3d cluster list failed: ${oneLine(result.reason)}; see whether Docker runs`);
}

/** Runs a body with a directory for temporary files, which is gone after it. */
async function withScratch<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(temporaryRoot(), SCRATCH_PREFIX));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Docker may listen on more ports than this user. */
async function verifyPort({ port }: ClusterConfig): Promise<void> {
  if (!(await canConnect('127.0.0.1', port))) return;
  const owner = portOwner(port) ?? 'another program';
  throw usageError(`port ${port} is in use by ${owner}; stop it, or set HELM_K3S_LB_HOST_PORT`);
}

/** The branch of the checkout, else its commit; `undefined` where a name is given, or git knows neither. */
async function branchOf({ env, runner }: RunnerContext, root: string): Promise<string | undefined> {
  if (readVariable(env, 'HELM_K3S_CLUSTER_NAME') !== undefined) return undefined;
  const git = start(root, { asInvoker: true });
  const commands = [git`git symbolic-ref --quiet --short HEAD`, git`git rev-parse --short HEAD`];
  const results = await Promise.all(commands.map((command) => runner.probe(command, PROBE_TIMEOUT_MS)));
  return results.flatMap((result) => (result.ok ? [result.output] : []))[0];
}

async function create(
  ctx: RunnerContext,
  prepared: PreparedCluster,
  isPreloadRequired: boolean,
  temporary: string,
): Promise<void> {
  const { runner, terminal } = ctx;
  const { image, name, release } = prepared.config;
  await terminal.section('cluster', () => bringUp(ctx, prepared, temporary), `k3d cluster ${name}`);
  await terminal.section('kubeconfig', () => updateKubeconfig(ctx, prepared.config, true));
  const install = async () => {
    for (const command of sandboxCommands(prepared.config)) await runner.run(command);
  };
  await terminal.section('agent-sandbox', install, `agent-sandbox ${release}`);
  if (image === undefined) return terminal.say('Skipping sandbox image preload.');
  const body = () => preload(ctx, prepared, image, temporary);
  await terminal.section('sandbox image', body, `sandbox image ${image}, ${prepared.platform}`).catch((error) => {
    // Without it the cluster works, only its first sandbox starts later.
    if (isPreloadRequired || !(error instanceof TaskError) || error instanceof InterruptedError) throw error;
    terminal.warn(`the sandbox image is not in the cluster, which works without it: ${describeError(error)}`);
  });
}

async function bringUp(ctx: RunnerContext, { cluster, config }: PreparedCluster, temporary: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { credentials, name, port, root } = config;
  if (cluster !== undefined) {
    terminal.say(`k3d cluster '${name}' already exists; its port and its credentials stay as they are`);
    if (cluster.port !== port) terminal.say(`its port is ${cluster.port ?? 'none'}, not ${port}`);
    if (!cluster.isRunning) await runner.run(start(root)`k3d cluster start ${name}`);
    return;
  }
  // JSON is YAML, too, and escapes whatever a password has.
  const registries = JSON.stringify({ configs: { 'ghcr.io': { auth: credentials } } });
  const file = join(temporary, 'registries.json');
  if (credentials !== undefined) naming(file, () => writeFileSync(file, registries, { mode: 0o600 }));
  try {
    await runner.run(createCommand(config, temporary));
  } catch (error) {
    // Of its own accord k3d takes back only what has failed, not what was interrupted.
    if (error instanceof InterruptedError) await removeHalf(ctx, config, temporary);
    throw error;
  }
}

/** After a signal the task's own runner starts nothing more; this one has signals of its own. */
async function removeHalf(ctx: RunnerContext, config: ClusterConfig, directory: string): Promise<void> {
  ctx.terminal.say(`removing what there is of the cluster '${config.name}'`);
  const { runner } = await withRunner({ ...ctx, signals: new Signals() });
  const result = await runner.probe(deleteCommand(config, directory), REMOVAL_TIMEOUT_MS);
  if (!result.ok) ctx.terminal.warn(`it cannot be removed: ${oneLine(result.reason)}; run mise run helm:k3s:delete`);
}

/** Imports the image, unless a server of the cluster has it. @throws TaskError where that fails */
async function preload(ctx: RunnerContext, prepared: PreparedCluster, image: string, temporary: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { cluster, config, platform } = prepared;
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
