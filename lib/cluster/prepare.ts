// SPDX-License-Identifier: Apache-2.0

/** What has to hold before a cluster is touched: tools, names, port and path, all of them checked at once. */

import type { RunnerContext } from '../build-env.ts';
import { readVariable } from '../cli/env.ts';
import { Problems } from '../cli/problems.ts';
import { findEngine, type Purpose, serverArch } from '../engine/detect.ts';
import type { Engine } from '../engine/types.ts';
import { oneLine, usageError } from '../errors.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import { notePlaces, type Place } from '../fs/writable-places.ts';
import { canConnect } from '../gateway/port.ts';
import { portOwner } from '../gateway/port-owner.ts';
import { requireProgram } from '../process/which.ts';
import { type ClusterConfig, resolveClusterConfig } from './config.ts';
import { readKubeconfig } from './kubeconfig.ts';
import { type Cluster, clusterIn, type Subcommand, start } from './plan.ts';

const TIMEOUT_MS = 30_000;
const OTHER_CLUSTER = 'use kind or another cluster and name its context in OPENSHELL_E2E_KUBE_CONTEXT';
const CHOICE = { candidates: ['docker'], reason: 'k3d needs it' } as const;
const DOCKER: Purpose<Engine> = {
  failing: 'does not respond',
  alternative: OTHER_CLUSTER,
  look: (name, probes) => probes.responding(name, 'start Docker'),
};

/** What is known before anything is changed. */
export interface PreparedCluster {
  readonly config: ClusterConfig;
  /** The cluster as it is; `undefined` where there is none. */
  readonly cluster: Cluster | undefined;
  /** Of a cluster that is to be created or completed: `linux/amd64`. */
  readonly platform: string;
  /** Where temporary files go. */
  readonly temporary: string;
}

/**
 * Checks everything that the subcommand needs.
 * @throws usageError for the last problem; the others are printed
 */
export async function prepareCluster(
  ctx: RunnerContext,
  root: string,
  subcommand: Subcommand,
  platform: NodeJS.Platform,
): Promise<PreparedCluster> {
  const { env, startDirectory, terminal } = ctx;
  const problems = new Problems();
  const hasK3d = problems.attempt(() => requireK3d(ctx, platform)) !== undefined;
  const config = resolveClusterConfig(problems, env, root, startDirectory, await branchOf(ctx, root));
  const isCreation = subcommand === 'create';
  if (isCreation || subcommand === 'delete') {
    problems.attempt(() => notePlaces(problems, placesOf(config)));
    await problems.attemptAsync(async () => {
      requireProgram('kubectl', env, 'run mise install, or install it');
      await readKubeconfig(ctx, config);
    });
  }
  const temporary = isCreation ? problems.attempt(temporaryRoot) : '';
  const docker = () => findEngine(ctx, root, CHOICE, DOCKER).then((engine) => serverArch(engine));
  const arch = isCreation ? await problems.attemptAsync(docker) : '';
  // Without docker k3d would only say so again.
  const isAsked = hasK3d && arch !== undefined;
  const cluster = isAsked ? await problems.attemptAsync(() => findCluster(ctx, config)) : undefined;
  if (isCreation && cluster === undefined) await problems.attemptAsync(() => verifyPort(config));
  problems.throwIfAny(terminal);
  return { config, cluster, platform: `linux/${arch}`, temporary: temporary ?? '' };
}

/** @throws usageError where k3d is missing, or this is neither macOS nor Linux */
export function requireK3d({ env }: RunnerContext, platform: NodeJS.Platform): string {
  if (platform !== 'darwin' && platform !== 'linux') {
    throw usageError(`local clusters are for macOS and Linux, and this is ${platform}; ${OTHER_CLUSTER}`);
  }
  const install =
    platform === 'linux' ? `install it (mise does not on Linux), or ${OTHER_CLUSTER}` : 'run mise install';
  return requireProgram('k3d', env, install);
}

/** The kubeconfig has to be a file of its own, and is replaced. */
function placesOf({ kubeconfig: path }: ClusterConfig): Place[] {
  const remedy = 'set HELM_K3S_KUBECONFIG to another file';
  return (['opened', 'file'] as const).map((kind) => ({ kind, path, remedy }));
}

async function findCluster({ runner }: RunnerContext, { name, root }: ClusterConfig): Promise<Cluster | undefined> {
  const result = await runner.probe(start(root)`k3d cluster list --output json`, TIMEOUT_MS);
  if (result.ok) return clusterIn(result.output, name);
  throw usageError(`k3d cluster list failed: ${oneLine(result.reason)}; see whether Docker runs`);
}

/** Docker may listen on more ports than this user. */
async function verifyPort({ port }: ClusterConfig): Promise<void> {
  if (!(await canConnect('127.0.0.1', port))) return;
  const owner = portOwner(port) ?? 'another program';
  throw usageError(`port ${port} is in use by ${owner}; stop it, or set HELM_K3S_LB_HOST_PORT`);
}

/** The branch of the checkout, else its commit; `undefined` where a name is given, or git knows neither. */
async function branchOf({ env, runner, terminal }: RunnerContext, root: string): Promise<string | undefined> {
  if (readVariable(env, 'HELM_K3S_CLUSTER_NAME') !== undefined) return undefined;
  const git = start(root, { asInvoker: true });
  const commands = [git`git symbolic-ref --quiet --short HEAD`, git`git rev-parse --short HEAD`];
  const results = await Promise.all(commands.map((command) => runner.probe(command, TIMEOUT_MS)));
  const found = results.find(({ ok }) => ok);
  if (found?.ok) return found.output;
  terminal.say('git knows no branch here, so none is in the name of the cluster');
  return undefined;
}
