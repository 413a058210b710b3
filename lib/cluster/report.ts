// SPDX-License-Identifier: Apache-2.0

/** What the tasks of a local cluster print: the plan of a dry run, and how to reach the cluster. */

import { join } from 'node:path';
import type { Runner } from '../build-env.ts';
import { temporaryRoot } from '../fs/temporary-directory.ts';
import type { Command } from '../process/command.ts';
import { mergeCommands } from './kubeconfig.ts';
import { contextOf, createCommand, imageCommands, type PreparedCluster, sandboxCommands, start } from './plan.ts';

/** The plan of a creation, ready to paste. */
export function createLines(runner: Runner, { cluster, config, platform, unknown }: PreparedCluster): string[] {
  const { image, kubeconfig, name, root } = config;
  const show = (...commands: readonly Command[]) => commands.map((command) => runner.describe(command));
  const directory = join(temporaryRoot(), 'openshell-k3s-XXXXXX');
  const { apply, established, rollout } = sandboxCommands(config);
  const { get, merge } = mergeCommands(config);
  const images = image && imageCommands(config, image, platform, directory);
  return [
    `# creates ${directory}, for this run`,
    ...(unknown ? [`# ${unknown}: where it exists, it is not created, only started unless it runs`] : []),
    ...(cluster === undefined ? show(createCommand(config, directory)) : []),
    ...(cluster?.isRunning === false ? show(start(root)`k3d cluster start ${name}`) : []),
    ...show(get),
    `# writes ${kubeconfig}: what it has, and that before it`,
    ...show(merge, apply, established, rollout),
    ...(images ? ['# unless the cluster has it', ...show(images.pull, images.save, images.import)] : []),
  ];
}

/** How the cluster is reached. */
export function summaryLines({ cluster, config }: PreparedCluster): string[] {
  return [
    `Active context: ${contextOf(config.name)}`,
    `Kubeconfig: ${config.kubeconfig}`,
    `Envoy Gateway LoadBalancer (port 80): http://127.0.0.1:${cluster?.port ?? config.port}`,
  ];
}
