// SPDX-License-Identifier: Apache-2.0

/** What the launchers of docker and podman share: their engine, and the supervisor for the machine that it runs on. */

import type { RunnerContext } from '../../build-env.ts';
import { whyNoStaticLibc } from '../../dev-build/static-libc.ts';
import { findEngine, serverArch } from '../../engine/detect.ts';
import type { Engine, EngineName } from '../../engine/types.ts';
import { type Profile, planSupervisor, type SupervisorSource } from '../supervisor/source.ts';
import type { PrepareFacts } from './types.ts';

/** How each is started. Podman is reached through a service; on macOS that runs in a virtual machine. */
const REMEDIES: Readonly<Record<EngineName, (platform: NodeJS.Platform) => string>> = {
  docker: () => 'start Docker',
  podman: (platform) =>
    `run: ${platform === 'darwin' ? 'podman machine start' : 'systemctl --user start podman.socket'}`,
};

/**
 * Probes the driver's engine: its driver names it, whatever the environment says of engines.
 * @throws usageError with the engine's own words where it does not respond
 */
export async function driverEngine(ctx: RunnerContext, name: EngineName, facts: PrepareFacts): Promise<Engine> {
  if (facts.engine !== undefined) return facts.engine;
  const { host, root } = facts.config;
  const remedy = `${REMEDIES[name](host.platform)}, or launch with another driver`;
  return findEngine(ctx, root, { candidates: [name], reason: `the driver is ${name}`, remedy });
}

/**
 * Probes the engine, and whether glibc can be linked statically; then plans the supervisor.
 * @param profile what the user asked for
 * @returns `undefined` without a tool chain
 * @throws usageError where the engine does not respond, or this machine cannot build what was chosen
 */
export async function prepareSupervisor(
  ctx: RunnerContext,
  name: EngineName,
  facts: PrepareFacts,
  profile: Profile | undefined,
): Promise<{ readonly engine: Engine; readonly source: SupervisorSource } | undefined> {
  const { config, tools } = facts;
  const isProbed = tools !== undefined && config.host.platform === 'linux' && profile !== 'release';
  const [engine, noStatic] = await Promise.all([
    driverEngine(ctx, name, facts),
    isProbed ? whyNoStaticLibc(ctx.runner, config.root, config.host) : undefined,
  ]);
  const arch = serverArch(engine);
  if (tools === undefined) return undefined;
  return { engine, source: await planSupervisor(ctx, config, tools, arch, profile, noStatic) };
}
