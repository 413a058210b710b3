// SPDX-License-Identifier: Apache-2.0

/**
 * The end of a launch: what can be tried is tried, then the gateway is registered and watched, and replaces this
 * process. A replacement that fails would abort Node, so nothing is left to chance.
 */

import { accessSync, constants } from 'node:fs';
import { thisProcess } from '../process/identity.ts';
import { watchCommand } from './activation-watcher.ts';
import type { LaunchContext } from './config.ts';
import { keepDatabaseOwner } from './database.ts';
import { gatewayCommand, type LaunchPlan } from './plan.ts';
import { verifyPortFree } from './port.ts';
import { register, verifyNameFree } from './registration.ts';
import { reachableAddress } from './value-checks.ts';

/**
 * Registers the gateway, starts the watcher, and replaces this process by the gateway.
 * @param binary the path of the gateway
 * @returns the gateway's exit status, where the process could not be replaced
 * @throws usageError where the port or the name has been taken since the preflight; an error of the file system where the binary
 *   cannot run
 */
export async function execGateway(ctx: LaunchContext, plan: LaunchPlan, binary: string): Promise<number> {
  const { locks, runner, signals, startDirectory } = ctx;
  const { config, preparation } = plan;
  const { bindAddress, configHome, endpoint, name, port } = config;
  accessSync(binary, constants.X_OK);
  keepDatabaseOwner(config);
  await Promise.all([verifyPortFree(bindAddress, port), verifyNameFree(config)]);
  signals.throwIfReceived();
  for (const lock of locks) lock.verifyHeld();
  const watched = {
    process: thisProcess(),
    isReplaced: runner.canReplace,
    address: reachableAddress(bindAddress),
    port,
    name,
    endpoint,
    activateIn: config.isActivated ? configHome : undefined,
    startedAt: Math.round(performance.timeOrigin),
  };
  // It does nothing before the port responds, and takes its time to start.
  const started = runner.start(watchCommand(watched, startDirectory));
  try {
    register(configHome, { name, gateway_endpoint: endpoint, gateway_port: port, ...preparation.metadata });
  } finally {
    await started;
  }
  for (const lock of locks) await lock.keepOnExec();
  return runner.exec(gatewayCommand(ctx, plan, binary));
}
