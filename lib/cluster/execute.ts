// SPDX-License-Identifier: Apache-2.0

/** The life of a local k3d cluster: created with all that the tasks of Helm need, started, stopped, listed, deleted. */

import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type RunnerContext, withRunner } from '../build-env.ts';
import { findCheckout } from '../checkout.ts';
import { findOrMark, mark } from '../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { findEngine, type Purpose, serverArch } from '../engine/detect.ts';
import { START_DOCKER } from '../engine/docker.ts';
import type { Engine } from '../engine/types.ts';
import { InterruptedError, isFailure, MissingTool, naming, oneLine, shown, usageError } from '../errors.ts';
import { sweepTemporary, writeWhole } from '../fs/atomic-write.ts';
import { parseTable } from '../fs/parse-json.ts';
import { withScratch } from '../fs/temporary-directory.ts';
import { notePlaces } from '../fs/writable-places.ts';
import { canConnect } from '../gateway/port.ts';
import type { Command } from '../process/command.ts';
import { isAlive } from '../process/identity.ts';
import { Signals } from '../process/signals.ts';
import { requireProgram } from '../process/which.ts';
import { type ClusterConfig, resolveClusterConfig, type SUBCOMMANDS } from './config.ts';
import {
  clusterCommands,
  clusterIn,
  contextOf,
  createLines,
  imageCommands,
  type PreparedCluster,
  REGISTRIES,
  SCRATCH_PREFIX,
  start,
  withoutCluster,
} from './plan.ts';

const PROBE_TIMEOUT_MS = 20_000;
const REMOVAL_TIMEOUT_MS = 120_000;
const MODE = 0o600;
const OTHER_CLUSTER = 'use kind or another cluster and name its context in OPENSHELL_E2E_KUBE_CONTEXT';
const CHOICE = { candidates: ['docker'], reason: 'k3d needs it' } as const;
const DOCKER: Purpose<Engine> = {
  failing: 'does not respond',
  alternative: OTHER_CLUSTER,
  look: (name, probes) => probes.responding(name, START_DOCKER),
};

/** Does what the subcommand names, or prints the plan. */
export async function manageCluster(
  ctx: RunnerContext,
  subcommand: (typeof SUBCOMMANDS)[number],
  { 'dry-run': isDryRun, 'require-preload': isRequired }: Readonly<Record<'dry-run' | 'require-preload', boolean>>,
): Promise<void> {
  const { runner, terminal } = ctx;
  const root = findCheckout(ctx.env, ctx.startDirectory);
  if (subcommand === 'status') {
    await findOrMark(ctx.unknowns, async () => requireK3d(ctx.env));
    const list = start(root)`k3d cluster list`;
    return terminal.result(...(isDryRun ? runner.describe(list) : await runner.read(list)).split('\n'));
  }
  const prepared = await prepare(ctx, root, subcommand);
  const { cluster, config, notes } = prepared;
  if (subcommand === 'create') {
    if (isDryRun) return terminal.result(...createLines(runner, prepared));
    await withScratch(SCRATCH_PREFIX, (directory) => create(ctx, prepared, isRequired, directory));
    terminal.result(
      `Active context: ${contextOf(config.name)}`,
      `Kubeconfig: ${config.kubeconfig}`,
      `Envoy Gateway LoadBalancer (port 80): http://127.0.0.1:${cluster?.port ?? config.port}`,
    );
    return terminal.say(`done: ${terminal.timings()}`);
  }
  if (subcommand === 'delete') return deleteCluster(ctx, prepared, isDryRun);
  if (cluster === undefined && notes.length === 0) {
    throw usageError(`there is no k3d cluster '${config.name}'; create it first (mise run helm:k3s:create)`);
  }
  const command = start(root)`k3d cluster ${subcommand} ${config.name}`;
  if (isDryRun) terminal.result(...notes, runner.describe(command));
  else await runner.run(command);
}

/** The kubeconfig is no reason to keep the cluster: where it cannot be used, its entries stay, which is said before. */
async function deleteCluster(ctx: RunnerContext, { cluster, config, notes }: PreparedCluster, isDryRun: boolean) {
  const { runner, terminal } = ctx;
  const { kubeconfig, name } = config;
  const problems = new Problems();
  if (existsSync(kubeconfig)) await checkKubeconfig(problems, ctx, config);
  const [problem] = problems.lines;
  if (problem !== undefined) terminal.warn(`what ${kubeconfig} has of the cluster '${name}' stays in it: ${problem}`);
  if (isDryRun) {
    const isThere = cluster !== undefined || notes.length > 0;
    const lines = isThere ? [...notes, runner.describe(clusterCommands(config, '/').delete)] : [];
    if (problem === undefined) lines.push(`# writes ${kubeconfig}: without the entries of the cluster '${name}'`);
    return terminal.result(...lines);
  }
  await withScratch(SCRATCH_PREFIX, async (directory) => {
    if (cluster !== undefined) await runner.run(clusterCommands(config, directory).delete);
    terminal.result(cluster ? `Deleted k3d cluster '${name}'.` : `No k3d cluster named '${name}'.`);
    if (problem === undefined && existsSync(kubeconfig)) await updateKubeconfig(ctx, config, directory, false);
  });
}

/** Checks everything that the subcommand needs. @throws usageError for the last problem; the others are printed */
async function prepare(ctx: RunnerContext, root: string, subcommand: string) {
  const problems = new Problems();
  const config = resolveClusterConfig(problems, ctx, root, await branchOf(ctx, root));
  const isCreation = subcommand === 'create';
  if (isCreation) await checkKubeconfig(problems, ctx, config);
  const docker = () => findEngine(ctx, root, CHOICE, DOCKER).then((engine) => serverArch(engine));
  const arch = isCreation ? await problems.attemptAsync(docker) : '';
  const search = async () => {
    requireK3d(ctx.env);
    // Without docker k3d would only say so again.
    return arch === undefined ? undefined : findCluster(ctx, config);
  };
  const marked = mark('cluster', 'k3d does not respond');
  const found = await problems.attemptAsync(() => findOrMark(ctx.unknowns, search, marked));
  if (isCreation && found === undefined) await problems.attemptAsync(() => verifyPort(config));
  problems.throwIfAny(ctx.terminal);
  const platform = `linux/${arch}`;
  if (typeof found !== 'string') return { config, cluster: found, notes: [], platform };
  const notes = [`# ${found}: the plan is for one that ${isCreation ? 'does not exist' : 'exists'}`];
  return { config, cluster: undefined, notes, platform };
}

/** It has to be a file of its own, and is replaced. */
async function checkKubeconfig(problems: Problems, ctx: RunnerContext, config: ClusterConfig): Promise<void> {
  const remedy = 'set HELM_K3S_KUBECONFIG to another file';
  const place = (kind: 'opened' | 'file') => ({ kind, path: config.kubeconfig, remedy });
  problems.attempt(() => notePlaces(problems, [place('opened'), place('file')]));
  const look = async () => {
    requireProgram('kubectl', ctx.env, 'run mise install, or install it');
    await readKubeconfig(ctx, config);
  };
  await problems.attemptAsync(() => findOrMark(ctx.unknowns, look));
}

function requireK3d(env: Environment): void {
  requireProgram('k3d', env, `run mise install on macOS, install it on Linux, or ${OTHER_CLUSTER}`);
}

async function findCluster({ runner }: RunnerContext, { name, root }: ClusterConfig) {
  const result = await runner.probe(start(root)`k3d cluster list --output json`, PROBE_TIMEOUT_MS);
  if (result.ok) return clusterIn(result.output, name);
  throw new MissingTool(`k3d cluster list failed: ${oneLine(result.reason)}; see whether Docker runs`);
}

/** Docker may listen on more ports than this user. */
async function verifyPort({ port }: ClusterConfig): Promise<void> {
  if (!(await canConnect('127.0.0.1', port))) return;
  throw usageError(`port ${port} is in use by another program; stop it, or set HELM_K3S_LB_HOST_PORT`);
}

/** The branch of the checkout, else its commit; `undefined` where a name is given, or git knows neither. */
async function branchOf({ env, runner }: RunnerContext, root: string): Promise<string | undefined> {
  if (readVariable(env, 'HELM_K3S_CLUSTER_NAME') !== undefined) return undefined;
  const git = start(root, { asInvoker: true });
  const commands = [git`git symbolic-ref --quiet --short HEAD`, git`git rev-parse --short HEAD`];
  const results = await Promise.all(commands.map((command) => runner.probe(command, PROBE_TIMEOUT_MS)));
  return results.flatMap((result) => (result.ok ? [result.output] : []))[0];
}

async function create(ctx: RunnerContext, prepared: PreparedCluster, isPreloadRequired: boolean, directory: string) {
  const { runner, terminal } = ctx;
  const { config, platform } = prepared;
  const { image, name, release } = config;
  const run = async (commands: readonly Command[]) => {
    for (const command of commands) await runner.run(command);
  };
  const { sandbox } = clusterCommands(config, directory);
  await terminal.section('cluster', () => bringUp(ctx, prepared, directory), `k3d cluster ${name}`);
  await terminal.section('kubeconfig', () => updateKubeconfig(ctx, config, directory, true));
  await terminal.section('agent-sandbox', () => run(sandbox), `agent-sandbox ${release}`);
  if (image === undefined) return terminal.say('Skipping sandbox image preload.');
  const body = async () => run(await preloadCommands(ctx, prepared, image, directory));
  await terminal.section('sandbox image', body, `sandbox image ${image}, ${platform}`).catch((error) => {
    // Without it the cluster works, only its first sandbox starts later.
    if (isPreloadRequired || !isFailure(error)) throw error;
    terminal.warn(`the sandbox image is not in the cluster, which works without it: ${error.message}`);
  });
}

async function bringUp(ctx: RunnerContext, { cluster, config }: PreparedCluster, directory: string): Promise<void> {
  const { runner, terminal } = ctx;
  const { credentials, name } = config;
  const commands = clusterCommands(config, directory);
  if (cluster !== undefined) {
    terminal.say(`k3d cluster '${name}' already exists; its port and its credentials stay as they are`);
    if (!cluster.isRunning) await runner.run(commands.start);
    return;
  }
  // JSON is YAML, too, and escapes whatever a password has.
  const registries = JSON.stringify({ configs: { 'ghcr.io': { auth: credentials } } });
  const file = join(directory, REGISTRIES);
  naming(file, () => writeFileSync(file, registries, { mode: MODE }));
  try {
    await runner.run(commands.create);
  } catch (error) {
    // Of its own accord k3d takes back only what has failed, not what was interrupted.
    if (error instanceof InterruptedError) await removeHalf(ctx, name, commands.delete);
    throw error;
  }
}

/** After a signal the task's own runner starts nothing more; this one has signals of its own. */
async function removeHalf(ctx: RunnerContext, name: string, command: Command): Promise<void> {
  ctx.terminal.say(`removing what there is of the cluster '${name}'`);
  const { runner } = await withRunner({ ...ctx, signals: new Signals() });
  const result = await runner.probe(command, REMOVAL_TIMEOUT_MS);
  if (!result.ok) ctx.terminal.warn(`it cannot be removed: ${oneLine(result.reason)}; run mise run helm:k3s:delete`);
}

/** The kubeconfig, where there is one. @throws usageError for a file that kubectl cannot read */
async function readKubeconfig({ runner }: RunnerContext, { kubeconfig: path, root }: ClusterConfig) {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return undefined;
  const command = start(root)`kubectl config view --raw -o json --kubeconfig=${path}`;
  const result = await runner.probe(command, PROBE_TIMEOUT_MS);
  const table = result.ok ? parseTable(result.output) : undefined;
  if (table !== undefined) return table;
  const reason = result.ok ? 'what kubectl prints is not JSON' : oneLine(result.reason);
  throw usageError(`${shown(path)} is not a kubeconfig: ${reason}; repair it, or set HELM_K3S_KUBECONFIG to another`);
}

/** Adds the cluster, in the place of what an earlier one of its name has left, or takes its entries out. */
async function updateKubeconfig(ctx: RunnerContext, config: ClusterConfig, directory: string, isAdded: boolean) {
  const { kubeconfig: path, name } = config;
  const commands = clusterCommands(config, directory);
  const part = join(directory, 'kubeconfig');
  const text = isAdded
    ? await ctx.runner.read(commands.kubeconfig)
    : JSON.stringify(withoutCluster((await readKubeconfig(ctx, config)) ?? {}, contextOf(name)));
  naming(part, () => writeFileSync(part, `${text}\n`, { mode: MODE }));
  const merged = await ctx.runner.read(commands.view(part, ...(isAdded ? [path] : [])));
  sweepTemporary(path, isAlive);
  writeWhole(path, `${merged}\n`, MODE);
}

/** What imports the image; nothing where a server of the cluster has it. */
async function preloadCommands(ctx: RunnerContext, prepared: PreparedCluster, image: string, directory: string) {
  const { cluster, config, platform } = prepared;
  const commands = imageCommands(config, image, platform, directory);
  const probe = (command: Command) => ctx.runner.probe(command, PROBE_TIMEOUT_MS);
  const lists = await Promise.all((cluster?.servers ?? []).map((node) => probe(commands.imagesOf(node))));
  if (lists.some((list) => list.ok && list.output.split('\n').includes(image))) {
    ctx.terminal.say(`Sandbox image already present in cluster: ${image}`);
    return [];
  }
  const local = await probe(commands.inspect);
  return [...(local.ok && local.output === platform ? [] : [commands.pull]), ...commands.load];
}
