// SPDX-License-Identifier: Apache-2.0

/** The engine of a launch: the gateway talks to its API itself, so the socket is connected to, and has to be its own. */

import { get, type IncomingMessage } from 'node:http';
import type { RunnerContext } from '../build-env.ts';
import { errnoOf, oneLine, shown } from '../errors.ts';
import { type EngineProbes, type Purpose, RECORDS, remedyFor, type Usable } from './detect.ts';
import type { ApiPlaces, Engine, EngineName, LaunchEngine, Refusal } from './types.ts';

const RESPONSE_TIMEOUT_MS = 5_000;
const ABSENT = 'does not exist';
const NO_ENGINE = 'does not respond as an engine';

/** For an engine that a gateway of this machine can use. @param uid of the user that the gateway runs as */
export function forLaunch(
  ctx: RunnerContext,
  platform: NodeJS.Platform,
  uid: number = process.geteuid?.() ?? 0,
): Purpose<LaunchEngine> {
  const { signals } = ctx;
  const look = async (name: EngineName, probes: EngineProbes) => {
    const near = await lookNearby(ctx, platform, uid, name, probes);
    if ('said' in near) return near;
    const unless = AbortSignal.any([probes.chosen, signals.aborted]);
    const engine = await connected(near.found, near.places, RECORDS[name].api.start(platform, uid), unless);
    signals.throwIfReceived();
    return engine;
  };
  return { failing: 'cannot carry a gateway', alternative: 'launch with another driver (mise run gateway:vm)', look };
}

/** For an engine that takes files of this machine, and whose ports are those of this machine. */
export function forThisMachine(ctx: RunnerContext, platform: NodeJS.Platform): Purpose<Engine> {
  const look = async (name: EngineName, probes: EngineProbes) => {
    const near = await lookNearby(ctx, platform, undefined, name, probes);
    return 'said' in near ? near : near.found;
  };
  return { failing: 'cannot be used', look };
}

/** The engine where it responds, with where its API is; one on another machine is refused by what leads there. */
async function lookNearby(
  { env, startDirectory }: RunnerContext,
  platform: NodeJS.Platform,
  uid: number | undefined,
  name: EngineName,
  probes: EngineProbes,
): Promise<Refusal | { readonly found: Usable<Engine>; readonly places: ApiPlaces }> {
  const { api } = RECORDS[name];
  const args = api.probe(platform);
  const responding = probes.responding(name, api.start(platform, uid ?? process.geteuid?.() ?? 0));
  // It is awaited last, and a signal may end it before.
  responding.catch(() => undefined);
  const printed = await (args && probes.ask(name, args));
  const places = api.places({ env, platform, uid, startDirectory, printed });
  // A far daemon may take long to respond, and is refused all the same.
  if (places !== undefined && 'said' in places) return { ...places, isSetting: true };
  const found = await responding;
  if ('said' in found) return found;
  if (places !== undefined) return { found, places };
  const what = [found.program, ...(args ?? [])].join(' ');
  const said = printed?.ok === false ? `: ${oneLine(printed.reason)}` : ` gave ${shown(printed?.output ?? '')}`;
  return { said: `${what}${said}`, remedy: `find out why (try: ${what})` };
}

/** The engine with the first socket that is its own; one that is named is the only one that counts. */
async function connected(
  found: Usable<Engine>,
  { sockets, source }: ApiPlaces,
  start: string,
  unless: AbortSignal,
): Promise<Usable<LaunchEngine> | Refusal> {
  const own = source === undefined && found.info.socket !== undefined ? [found.info.socket] : [];
  const obstacles = [];
  for (const socket of new Set([...own, ...sockets])) {
    const obstacle = await whyNotOn(found, socket, unless);
    if (obstacle === undefined) return { ...found, socket };
    obstacles.push({ socket, ...obstacle });
  }
  // One that is there says more than those that are not.
  const obstacle = obstacles.find(({ reason }) => reason !== ABSENT) ?? obstacles[0];
  const place = source === undefined ? '' : `${source}: `;
  const what = obstacle === undefined ? 'no socket is known' : `${shown(obstacle.socket)} ${obstacle.reason}`;
  // What starts the service starts it in its usual place.
  const starting = source === undefined ? start : 'start its service there';
  const remedy = obstacle === undefined ? starting : remedyFor(obstacle, found.program, starting);
  const otherwise = source === undefined ? '' : `, or change or unset ${source}`;
  return { said: `the API of ${found.record.name}: ${place}${what}`, remedy: `${remedy}${otherwise}` };
}

/** Why the engine does not respond on a socket, as the end of a sentence; `undefined` where it does. */
async function whyNotOn({ record }: Usable<Engine>, socketPath: string, unless: AbortSignal) {
  const timeout = AbortSignal.timeout(RESPONSE_TIMEOUT_MS);
  const request = get({ socketPath, path: '/_ping', agent: false, signal: AbortSignal.any([unless, timeout]) });
  try {
    const { headers } = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject);
    });
    // The gateway tells the two apart by this header.
    const engine = 'libpod-api-version' in headers ? 'podman' : 'docker';
    if (!('api-version' in headers)) return { reason: NO_ENGINE };
    return engine === record.name ? undefined : { reason: `is the API of ${engine}` };
  } catch (error) {
    const reason = `takes a connection and does not respond within ${RESPONSE_TIMEOUT_MS / 1000} s`;
    return timeout.aborted ? { reason, timedOut: true as const } : { reason: reasonOf(error as Error) };
  } finally {
    request.destroy();
  }
}

function reasonOf(error: Error): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: ABSENT,
    ENOTDIR: ABSENT,
    ECONNREFUSED: 'has no listener',
    ENOTSOCK: 'is not a socket',
    EACCES: 'cannot be connected to: permission denied',
  };
  const code = errnoOf(error);
  return code === undefined ? NO_ENGINE : (reasons[code] ?? `cannot be connected to (${error.message})`);
}
