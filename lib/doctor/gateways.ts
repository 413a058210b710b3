// SPDX-License-Identifier: Apache-2.0

/** What each gateway takes: its port, its state directory and its name; and the gateways that are registered. */

import { verifyPlaces } from '../fs/writable-places.ts';
import { resolveConfig } from '../gateway/config.ts';
import type { DriverName } from '../gateway/declarations.ts';
import { DRIVERS } from '../gateway/drivers/records.ts';
import { whyNoVm } from '../gateway/drivers/vm.ts';
import { LOOKING, launchContext, lockedFor, verifyUnused, whoHasIt } from '../gateway/execute.ts';
import { registryPlaces, statePlaces } from '../gateway/plan.ts';
import { canConnect, isListening, reachableAddress, verifyPortFree } from '../gateway/port.ts';
import { configHome, registeredGateways, verifyNameFree } from '../gateway/registration.ts';
import { runtimeDefects, runtimeDirectory, vmPlatformOf } from '../vm/runtime-files.ts';
import type { Check, Doctor, Finding } from './check.ts';

export function gatewayChecks(doctor: Doctor, drivers: readonly DriverName[]): Check[] {
  const { ctx } = doctor;
  const ports = new Map<string, Promise<void>>();
  const ofDriver = (driver: DriverName): Check[] => {
    // A value that is wrong throws its error where it is used.
    const config = resolveConfig(DRIVERS[driver], launchContext(ctx, LOOKING));
    const blocks = [`gateway:${driver}`];
    const port = async () => {
      const where = `${config.bindAddress} port ${config.port}`;
      // Two looks at one port would be in each other's way.
      const free = ports.get(where) ?? verifyPortFree(config.bindAddress, config.port);
      await ports.set(where, free).get(where);
      return `${where} is free`;
    };
    const state = async () => {
      verifyPlaces(ctx.terminal, statePlaces(config));
      await verifyUnused(config);
      return config.stateDirectory;
    };
    const orUp = (look: () => Promise<string>, place: () => string) => async (): Promise<Finding> =>
      (await isUp(ctx, driver)) ? { note: `${place()}: ${config.name} is up there` } : look();
    const name = async () => {
      verifyPlaces(ctx.terminal, registryPlaces(config));
      await verifyNameFree(config);
      return config.name;
    };
    return [
      [`${driver} port`, blocks, orUp(port, () => `${config.bindAddress} port ${config.port}`)],
      [`${driver} state`, blocks, orUp(state, () => config.stateDirectory)],
      [`${driver} name`, blocks, name],
    ];
  };
  return [
    ...drivers.flatMap(ofDriver),
    ['vm runtime', ['gateway:vm'], () => runtimeFinding(doctor)],
    ['registered', [], () => registeredFinding(doctor)],
  ];
}

/** @throws usageError for a machine without a VM driver */
function runtimeFinding({ ctx: { env, startDirectory }, host, root }: Doctor): Finding {
  const platform = vmPlatformOf(host);
  const directory = runtimeDirectory(env, root, startDirectory);
  const why = whyNoVm(host.platform);
  if (runtimeDefects(directory, platform).length === 0) return why === undefined ? directory : { note: why };
  const text = `${directory} is not complete, and the first launch downloads what is missing`;
  return { note: `${[text, why ?? []].flat().join('; ')}; run: mise run vm:setup` };
}

/** Whether the gateway of this very configuration is what listens: the process that has its state directory. */
export async function isUp(ctx: Doctor['ctx'], driver: DriverName): Promise<boolean> {
  try {
    const config = resolveConfig(DRIVERS[driver], launchContext(ctx, LOOKING));
    const holder = await whoHasIt(config);
    if (holder?.pid === undefined || holder.task !== lockedFor(config, driver)) return false;
    // Where the system does not tell whose listener it is, any response of the port counts.
    return isListening(holder.pid, config.port) ?? canConnect(reachableAddress(config.bindAddress), config.port);
  } catch {
    // What is wrong is told by what uses it.
    return false;
  }
}

async function registeredFinding({ ctx: { env, runner, startDirectory } }: Doctor): Promise<Finding> {
  const all = await registeredGateways(configHome(env, startDirectory, runner.invoker));
  const texts = all.map(({ isActive, kind, name, responds, url }) => {
    const state = kind !== undefined ? `is ${kind}` : responds ? 'responds' : 'does not respond';
    return `${name}${isActive ? ' (active)' : ''} at ${url?.origin ?? 'no address'} ${state}`;
  });
  const text = texts.join('; ') || 'no gateway';
  const isLost = all.some(({ isActive, kind, responds }) => isActive && kind === undefined && !responds);
  return isLost ? { note: `${text}; start it, or choose another one: openshell gateway select NAME` } : text;
}
