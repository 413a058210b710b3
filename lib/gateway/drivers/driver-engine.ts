// SPDX-License-Identifier: Apache-2.0

/** The engine of the launchers of docker and podman. */

import { findEngine } from '../../engine/detect.ts';
import { forLaunch } from '../../engine/gateway-engine.ts';
import type { EngineName, LaunchEngine } from '../../engine/types.ts';
import type { LaunchContext } from '../config.ts';

/**
 * Probes the driver's engine and its API: its driver names it, whatever the environment says of engines.
 * @throws usageError with the engine's own message where the gateway could not use it
 */
export async function driverEngine(ctx: LaunchContext, name: EngineName): Promise<LaunchEngine> {
  if (ctx.engine !== undefined) return ctx.engine;
  const choice = { candidates: [name], reason: `the driver is ${name}` };
  return findEngine(ctx, ctx.root, choice, forLaunch(ctx, ctx.host.platform));
}
