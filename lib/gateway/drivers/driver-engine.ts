// SPDX-License-Identifier: Apache-2.0

/** The engine of the launchers of docker and podman. */

import { findEngine } from '../../engine/detect.ts';
import type { Engine, EngineName } from '../../engine/types.ts';
import type { LaunchContext } from '../config.ts';

/** How each is started. Podman is reached through a service; on macOS that runs in a virtual machine. */
const REMEDIES: Readonly<Record<EngineName, (platform: NodeJS.Platform) => string>> = {
  docker: () => 'start Docker',
  podman: (platform) =>
    `run: ${platform === 'darwin' ? 'podman machine start' : 'systemctl --user start podman.socket'}`,
};

/**
 * Probes the driver's engine: its driver names it, whatever the environment says of engines.
 * @throws usageError with the engine's own message where it does not respond
 */
export async function driverEngine(ctx: LaunchContext, name: EngineName): Promise<Engine> {
  const remedy = `${REMEDIES[name](ctx.host.platform)}, or launch with another driver`;
  return ctx.engine ?? findEngine(ctx, ctx.root, { candidates: [name], reason: `the driver is ${name}`, remedy });
}
