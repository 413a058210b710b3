// SPDX-License-Identifier: Apache-2.0

/**
 * The user's kubeconfig: kubectl reads and merges it, and it appears whole, for its owner alone. Paths in it are
 * relative to its directory, so what is merged lies there, too.
 */

import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RunnerContext } from '../build-env.ts';
import { failure, naming, oneLine, shown, usageError } from '../errors.ts';
import { sweepTemporary, temporaryOf, writeWhole } from '../fs/atomic-write.ts';
import { asOwner, makeDirectory } from '../fs/ownership.ts';
import { isTable, parseTable } from '../fs/parse-json.ts';
import { fileIdentity } from '../fs/paths.ts';
import { isAlive } from '../process/identity.ts';
import type { ClusterConfig } from './config.ts';
import { contextOf, mergeCommands, start } from './plan.ts';

const MODE = 0o600;
const TIMEOUT_MS = 20_000;

type Kubeconfig = Readonly<Record<string, unknown>>;

/** The kubeconfig, where there is one. @throws usageError for a file that kubectl cannot read */
export async function readKubeconfig(ctx: RunnerContext, config: ClusterConfig): Promise<Kubeconfig | undefined> {
  const { asInvoker, kubeconfig: path, root } = config;
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return undefined;
  const command = start(root, { asInvoker })`kubectl config view --raw -o json --kubeconfig=${path}`;
  const result = await ctx.runner.probe(command, TIMEOUT_MS);
  const table = result.ok ? parseTable(result.output) : undefined;
  if (table !== undefined) return table;
  const reason = result.ok ? 'what kubectl prints is not JSON' : oneLine(result.reason);
  throw usageError(`${shown(path)} is not a kubeconfig: ${reason}; repair it, or set HELM_K3S_KUBECONFIG to another`);
}

/** Adds the cluster, in the place of what an earlier one of its name has left, or takes its entries out. */
export async function updateKubeconfig(ctx: RunnerContext, config: ClusterConfig, isPresent: boolean): Promise<void> {
  const { kubeconfig: path, name } = config;
  if (!isPresent && !existsSync(path)) return;
  const { copy, get, merge } = mergeCommands(config);
  let text = isPresent ? await ctx.runner.read(get) : '';
  if (isPresent && !text.includes(contextOf(name))) {
    throw failure('k3d kubeconfig get printed no kubeconfig; try it by hand');
  }
  const before = fileIdentity(path);
  const old = await readKubeconfig(ctx, config);
  if (!isPresent && old === undefined) return;
  if (!isPresent) text = JSON.stringify(withoutCluster(old ?? {}, contextOf(name)));
  const temporary = temporaryOf(path);
  makeDirectory(dirname(path));
  sweepTemporary(path, isAlive);
  try {
    asOwner(dirname(path), () => {
      rmSync(temporary, { force: true });
      naming(path, () => writeFileSync(temporary, `${text}\n`, { flag: 'wx', mode: MODE }));
    });
    const merged = await ctx.runner.read(isPresent ? merge : copy);
    // What another task or kubectl has written since must not be lost.
    if (fileIdentity(path) !== before) return await updateKubeconfig(ctx, config, isPresent);
    writeWhole(path, `${merged}\n`, MODE);
  } finally {
    asOwner(dirname(path), () => rmSync(temporary, { force: true }));
  }
}

/** The kubeconfig without the entries that k3d makes for a cluster. Pure. */
export function withoutCluster(kubeconfig: Kubeconfig, context: string): Kubeconfig {
  const isOther = (entry: unknown) => !isTable(entry) || ![context, `admin@${context}`].includes(String(entry.name));
  const kept = Object.entries(kubeconfig).map(([key, value]) => {
    if (key === 'current-context' && value === context) return [key, ''];
    return [key, Array.isArray(value) ? value.filter(isOther) : value];
  });
  return Object.fromEntries(kept);
}
