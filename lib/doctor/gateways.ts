// SPDX-License-Identifier: Apache-2.0

/** What each gateway takes: its port, its state directory and its name; and the gateways that are registered. */

import { verifyPlaces } from '../fs/writable-places.ts';
import { type DriverName, resolveConfig } from '../gateway/config.ts';
import { DRIVERS } from '../gateway/drivers/index.ts';
import { LOOKING, launchContext, stateOf } from '../gateway/execute.ts';
import { registryPlaces, statePlaces } from '../gateway/plan.ts';
import { verifyPortFree } from '../gateway/port.ts';
import { configHome, registeredGateways, verifyNameFree } from '../gateway/registration.ts';
import { verifyUnused } from '../gateway/state-lock.ts';
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
      await verifyUnused(stateOf(config));
      return config.stateDirectory;
    };
    const name = async () => {
      verifyPlaces(ctx.terminal, registryPlaces(config));
      await verifyNameFree(config);
      return config.name;
    };
    return Object.entries({ port, state, name }).map(([what, look]) => [`${driver} ${what}`, blocks, look]);
  };
  return [...drivers.flatMap(ofDriver), ['registered', [], () => registeredFinding(doctor)]];
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
