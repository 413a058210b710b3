// SPDX-License-Identifier: Apache-2.0

/** What a local k3d cluster was asked for: the environment, checked, as one value. */

import { join } from 'node:path';
import { notAllowed, readPath, readVariable } from '../cli/env.ts';
import type { Problems } from '../cli/problems.ts';
import type { TaskContext } from '../cli/task.ts';
import { shown, usageError } from '../errors.ts';
import { absolutePath } from '../fs/paths.ts';
import { verifyReference } from '../image/reference.ts';

const DEFAULT_NAME = 'openshell-dev';
/** The longest name that k3d takes. */
const NAME_MAX = 32;

export const SUBCOMMANDS = ['create', 'delete', 'start', 'stop', 'status'] as const;

export type ClusterConfig = ReturnType<typeof resolveClusterConfig>;

/** @param branch the branch of the checkout, or its commit; `undefined` where neither is known or wanted */
export function resolveClusterConfig(problems: Problems, ctx: TaskContext, root: string, branch: string | undefined) {
  const { env, startDirectory } = ctx;
  const [username, password] = [readVariable(env, 'GITHUB_USERNAME'), readVariable(env, 'GITHUB_PAT')];
  const kubeconfig = () => {
    const [first, ...others] = (readVariable(env, 'KUBECONFIG') ?? '').split(':').filter((file) => file !== '');
    const single = first !== undefined && others.length === 0 ? absolutePath(startDirectory, first) : undefined;
    const path = readPath(env, 'HELM_K3S_KUBECONFIG', startDirectory) ?? single ?? join(root, 'kubeconfig');
    if (!path.includes(':')) return path;
    throw usageError(`kubectl takes ${shown(path)} for several files; set HELM_K3S_KUBECONFIG to one without a ':'`);
  };
  return problems.values({
    root: () => root,
    name: () => clusterName(readVariable(env, 'HELM_K3S_CLUSTER_NAME'), branch),
    kubeconfig,
    port: () => readVariable(env, 'HELM_K3S_LB_HOST_PORT'),
    image: () => {
      const name = 'HELM_K3S_PRELOAD_SANDBOX_IMAGE';
      // Here empty is not unset: it says that there is none.
      return env[name] === '' ? undefined : verifyReference(name, readVariable(env, name), true);
    },
    release: () => {
      const release = readVariable(env, 'AGENT_SANDBOX_VERSION');
      if (/^v\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/.test(release)) return release;
      throw notAllowed('AGENT_SANDBOX_VERSION', release, 'is the tag of a release, such as v0.5.0');
    },
    /** For ghcr.io. */
    credentials: () => (username === undefined || password === undefined ? undefined : { username, password }),
  });
}

/** The given name, else that of the branch, so that each worktree has its own. @throws usageError with one that fits */
export function clusterName(given: string | undefined, branch = ''): string {
  const suffix = dnsLabel(branch.slice(branch.lastIndexOf('/') + 1));
  const name = given ?? (suffix === '' ? DEFAULT_NAME : `${DEFAULT_NAME}-${suffix}`);
  if (name.length <= NAME_MAX && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return name;
  const source = given === undefined ? `the name of the cluster (branch ${shown(branch)})` : 'HELM_K3S_CLUSTER_NAME';
  const example = dnsLabel(dnsLabel(name).slice(0, NAME_MAX)) || DEFAULT_NAME;
  throw usageError(
    `${source} is ${shown(name)}, of ${name.length} characters; allowed are up to ${NAME_MAX} lower-case letters, ` +
      `digits and '-', which is neither first nor last; set one, such as HELM_K3S_CLUSTER_NAME=${example}`,
  );
}

function dnsLabel(text: string): string {
  const label = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  return label.replaceAll(/^-|-$/g, '');
}
