// SPDX-License-Identifier: Apache-2.0

/** The engine of a launcher: its driver names it, whatever the environment says of engines. */

import type { TaskContext } from '../../cli/task.ts';
import { findEngine } from '../../engine/detect.ts';
import type { Engine, EngineName } from '../../engine/types.ts';

/** How each is started. Podman is asked through a service; on macOS that runs in a virtual machine. */
const REMEDIES: Readonly<Record<EngineName, (platform: NodeJS.Platform) => string>> = {
  docker: () => 'start Docker',
  podman: (platform) =>
    `run: ${platform === 'darwin' ? 'podman machine start' : 'systemctl --user start podman.socket'}`,
};

/**
 * Asks the driver's engine.
 *
 * @throws usageError with the engine's own words where it does not answer
 */
export function driverEngine({ runner, env }: TaskContext, name: EngineName, root: string): Promise<Engine> {
  const remedy = `${REMEDIES[name](process.platform)}, or launch with another driver`;
  return findEngine(runner, env, root, { candidates: [name], reason: `the driver is ${name}`, remedy });
}
