// SPDX-License-Identifier: Apache-2.0

/**
 * The engine of a launch. That its client responds is not enough: the gateway talks to the API itself, so its socket is
 * connected to, and it has to be the API of the very engine that was probed.
 */

import type { RunnerContext } from '../build-env.ts';
import { shown } from '../errors.ts';
import type { ProbeResult } from '../process/result.ts';
import { type EngineProbes, type Purpose, RECORDS, remedyFor, saidOf, type Usable } from './detect.ts';
import { infoFrom, pingSocket, type SocketResult } from './socket.ts';
import type { ApiPlaces, Engine, EngineName, LaunchEngine, Refusal } from './types.ts';

/**
 * For an engine that a gateway of this machine can use.
 * @param uid of the user that the gateway runs as
 */
export function forLaunch(
  ctx: RunnerContext,
  platform: NodeJS.Platform,
  uid: number = process.geteuid?.() ?? 0,
): Purpose<LaunchEngine> {
  const { signals } = ctx;
  const look = async (name: EngineName, probes: EngineProbes) => {
    const { api } = RECORDS[name];
    const { found, places, printed } = await lookNearby(ctx, platform, uid, name, probes);
    if ('said' in found) return found;
    if (places === undefined) return unknownPlace(found, api.probe(platform) ?? [], printed);
    const unless = AbortSignal.any([probes.chosen, signals.aborted]);
    const engine = await connected(found, places, api.start(platform, uid), unless);
    signals.throwIfReceived();
    return engine;
  };
  return { failing: 'cannot carry a gateway', alternative: 'launch with another driver', look };
}

/** For an engine that takes files of this machine, and whose ports are those of this machine. */
export function forThisMachine(ctx: RunnerContext, platform: NodeJS.Platform): Purpose<Engine> {
  const look = async (name: EngineName, probes: EngineProbes) =>
    (await lookNearby(ctx, platform, undefined, name, probes)).found;
  return { failing: 'cannot be used', look };
}

/** The engine where it responds, with where its API is; one on another machine is refused by what leads there. */
async function lookNearby(
  { env, startDirectory }: RunnerContext,
  platform: NodeJS.Platform,
  uid: number | undefined,
  name: EngineName,
  probes: EngineProbes,
): Promise<Nearby> {
  const { api } = RECORDS[name];
  const args = api.probe(platform);
  const [responding, asked] = [
    probes.responding(name, api.start(platform, uid ?? process.geteuid?.() ?? 0)),
    args && probes.ask(name, args),
  ];
  // It is awaited last, and a signal may end it before.
  responding.catch(() => undefined);
  const printed = await asked;
  const places = api.places({ env, platform, uid, startDirectory, printed });
  // A far daemon may take long to respond, and is refused all the same.
  if (places !== undefined && 'said' in places) return { found: { ...places, isSetting: true } };
  return { found: await responding, places, printed };
}

interface Nearby {
  readonly found: Usable<Engine> | Refusal;
  /** `undefined` where it is not known. */
  readonly places?: ApiPlaces | undefined;
  readonly printed?: ProbeResult | undefined;
}

function unknownPlace({ program }: Usable<Engine>, args: readonly string[], printed: ProbeResult | undefined): Refusal {
  const what = [program, ...args].join(' ');
  if (printed?.ok === false) return { said: saidOf(what, printed), remedy: `find out why (try: ${what})` };
  return { said: `${what} gave ${shown(printed?.output ?? '')}`, remedy: `find out why (try: ${what})` };
}

/** The engine with the first socket that is its own; one that is named is the only one that counts. */
async function connected(
  found: Usable<Engine>,
  { sockets, source }: ApiPlaces,
  start: string,
  unless: AbortSignal,
): Promise<Usable<LaunchEngine> | Refusal> {
  const own = source === undefined && found.info.socket !== undefined ? [found.info.socket] : [];
  const said: string[] = [];
  const remedies: string[] = [];
  for (const socket of new Set([...own, ...sockets])) {
    const result = await tryOut(found, socket, unless);
    if (result.ok) return { ...found, socket };
    said.push(`${shown(socket)} ${result.reason}`);
    remedies.push(remedyFor(result, found.program, start));
  }
  // One that is there and fails otherwise says more than those that are not there.
  const remedy = remedies.find((one) => one !== start);
  const what = `the API of ${found.record.name}: `;
  if (source === undefined) return { said: `${what}${said.join(', ')}`, remedy: remedy ?? start };
  const there = `${remedy ?? 'start its service there'}, or change or unset ${source}`;
  return { said: `${what}${source}: ${said.join(', ')}`, remedy: there };
}

/** Whether the engine that was probed responds there. */
async function tryOut({ info, program, record }: Usable<Engine>, socket: string, unless: AbortSignal) {
  const refused = (reason: string): SocketResult => ({ ok: false, reason });
  const result = await pingSocket(socket, unless);
  if (!result.ok) return result;
  if (result.isPodmanService && !record.api.isPodmanService) return refused("is podman's service, not Docker");
  if (!result.isPodmanService && record.api.isPodmanService) return refused("is not podman's service");
  // An image that the client builds has to be there when the gateway looks for it.
  const own = await infoFrom(socket, unless);
  if (own === 'silent') return refused('does not say in time which images it has');
  const there = own?.storage ?? info.storage;
  if (info.storage === undefined || there === info.storage) return result;
  return refused(`belongs to another ${record.name}: it keeps images in ${there}, but ${program} in ${info.storage}`);
}
