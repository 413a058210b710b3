// SPDX-License-Identifier: Apache-2.0

/**
 * The engine of a launch. That its client responds is not enough: the gateway talks to the API itself, so its socket is
 * connected to, and it has to be the API of the very engine that was probed.
 */

import { connect } from 'node:net';
import type { RunnerContext } from '../build-env.ts';
import { errnoOf, shown } from '../errors.ts';
import type { ProbeResult } from '../process/result.ts';
import { type EngineProbes, type Purpose, RECORDS, remedyFor, saidOf, type Usable } from './detect.ts';
import { type ApiPlaces, type Engine, type EngineName, type LaunchEngine, parseInfo, type Refusal } from './types.ts';

/** The gateway itself waits for a second; a machine that builds is slower than one that does not. */
const RESPONSE_TIMEOUT_MS = 5_000;
const ABSENT = 'does not exist';

/** For an engine that a gateway of this machine can use. @param uid of the user that the gateway runs as */
export function forLaunch(
  ctx: RunnerContext,
  platform: NodeJS.Platform,
  uid: number = process.geteuid?.() ?? 0,
): Purpose<LaunchEngine> {
  const { signals } = ctx;
  const look = async (name: EngineName, probes: EngineProbes) => {
    const { api } = RECORDS[name];
    const near = await lookNearby(ctx, platform, uid, name, probes);
    if ('said' in near) return near;
    if ('said' in near.places) return near.places;
    const unless = AbortSignal.any([probes.chosen, signals.aborted]);
    const engine = await connected(near.found, near.places, api.start(platform, uid), unless);
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
): Promise<Refusal | { readonly found: Usable<Engine>; readonly places: ApiPlaces | Refusal }> {
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
  return { found, places: places ?? unknownPlace([found.program, ...(args ?? [])].join(' '), printed) };
}

function unknownPlace(what: string, printed: ProbeResult | undefined): Refusal {
  const said = printed?.ok === false ? saidOf(what, printed) : `${what} gave ${shown(printed?.output ?? '')}`;
  return { said, remedy: `find out why (try: ${what})` };
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
    const obstacle = await whyNotOn(found, socket, unless);
    if (obstacle === undefined) return { ...found, socket };
    said.push(`${shown(socket)} ${obstacle.reason}`);
    remedies.push(remedyFor(obstacle, found.program, start));
  }
  // One that is there and fails otherwise says more than those that are not there.
  const remedy = remedies.find((one) => one !== start);
  const what = `the API of ${found.record.name}: `;
  if (source === undefined) {
    const brief = said.every((text) => text.endsWith(ABSENT)) ? { brief: `${what}no socket is there` } : {};
    return { said: `${what}${said.join(', ')}`, ...brief, remedy: remedy ?? start };
  }
  const there = `${remedy ?? 'start its service there'}, or change or unset ${source}`;
  return { said: `${what}${source}: ${said.join(', ')}`, remedy: there };
}

/** Why the engine that was probed is not what responds on a socket, as the end of a sentence; `undefined` where it is. */
async function whyNotOn({ info, program, record }: Usable<Engine>, path: string, unless: AbortSignal) {
  const response = await infoFrom(path, unless);
  if (typeof response !== 'string') return response;
  if (!/^HTTP\/1\.[01] 200\b/.test(response) || !/^(Libpod-)?Api-Version:/im.test(response)) {
    return { reason: 'does not respond as an engine' };
  }
  // The gateway tells the two apart by this header.
  const engine: EngineName = /^Libpod-Api-Version:/im.test(response) ? 'podman' : 'docker';
  if (engine !== record.name) {
    return { reason: engine === 'podman' ? "is podman's service, not Docker" : "is not podman's service" };
  }
  // An image that the client builds has to be there when the gateway looks for it.
  const there = parseInfo(response.slice(response.indexOf('\r\n\r\n')))?.storage ?? info.storage;
  if (info.storage === undefined || there === info.storage) return undefined;
  return { reason: `belongs to another ${engine}: it keeps images in ${there}, but ${program} in ${info.storage}` };
}

/** The response to what an engine's `info` asks, in HTTP 1.0, which cuts no body into chunks; or why there is none. */
function infoFrom(path: string, unless: AbortSignal): Promise<string | { reason: string; timedOut?: true }> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ path, signal: unless });
    const end = (result: Parameters<typeof resolve>[0]) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const reason = `takes a connection and does not respond within ${RESPONSE_TIMEOUT_MS / 1000} s`;
    const timer = setTimeout(() => end({ reason, timedOut: true }), RESPONSE_TIMEOUT_MS);
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    socket.once('connect', () => socket.write('GET /info HTTP/1.0\r\nHost: localhost\r\n\r\n'));
    socket.once('end', () => end(text));
    socket.once('error', (error) => end({ reason: reasonOf(error) }));
  });
}

function reasonOf(error: Error): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: ABSENT,
    ENOTDIR: ABSENT,
    ECONNREFUSED: 'has no listener',
    ENOTSOCK: 'is not a socket',
    EACCES: 'cannot be connected to: permission denied',
  };
  return reasons[errnoOf(error) ?? ''] ?? `cannot be connected to (${error.message})`;
}
