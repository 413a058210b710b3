// SPDX-License-Identifier: Apache-2.0

/**
 * One file over HTTP: continued where it broke off, tried again for what can pass, given up for what cannot. What is
 * written is nobody else's until the caller has verified it.
 */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Environment, textOf } from '../cli/env.ts';
import { megabytes, seconds, type Terminal } from '../cli/terminal.ts';
import { failure, named, TaskError, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import { networkSetback, type Setback, setbackOf } from './responses.ts';

/** Attempts without a new byte before it is given up where nothing else is said, and attempts in all. */
const ATTEMPTS_MAX = 5;
const ATTEMPTS_IN_ALL = 30;
const PAUSE_MS = 1000;
/** How often it is said how far a download is: over and over in one line of a terminal, else rarely. */
const PASSING_MS = 200;
const LINE_MS = 10_000;

const PROXIES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;

export interface DownloadRequest {
  readonly url: string;
  readonly path: string;
  /** Whether the caller knows what the file has to be: then what has come is continued, as a wrong end cannot pass. */
  readonly isVerified: boolean;
  /** How long a server may send nothing. */
  readonly stallMs: number;
  /** Attempts without a new byte before it is given up. */
  readonly attempts?: number;
}

export interface DownloadEffects {
  /** Ends it; what has come stays in the file. */
  readonly signal: AbortSignal;
  /** Called with the bytes so far and in all. */
  readonly update?: (received: number, total: number | undefined) => void;
  /** Says why an attempt failed, and that there is another one. */
  say(text: string): void;
  /** Waits between attempts; tests do not. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** The server has no such file. */
export class NoSuchFile extends TaskError {}

/** A setback as an error within this module. */
class AttemptFailed extends Error {
  readonly setback: Setback;

  constructor(setback: Setback) {
    super(setback.reason);
    this.setback = setback;
  }
}

/**
 * Downloads a file.
 * @throws NoSuchFile where the server has none, TaskError (1) with the reason for anything else that fails, the reason
 *   of `signal`, or the system's error for the file
 */
export async function download(request: DownloadRequest, effects: DownloadEffects): Promise<void> {
  const { attempts = ATTEMPTS_MAX, isVerified, path, url } = request;
  const { signal, pause = (ms) => sleep(ms, undefined, { signal }) } = effects;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_APPEND;
  const file = asOwner(dirname(path), () => openSync(path, flags, 0o600));
  try {
    let fruitless = 0;
    for (let attempt = 1; ; attempt++) {
      if (!isVerified) ftruncateSync(file);
      const before = fstatSync(file).size;
      const setback = await attemptOnce(request, file, effects);
      if (setback === undefined) return;
      fruitless = fstatSync(file).size > before ? 0 : fruitless + 1;
      const { passes, pauseMs = PAUSE_MS * 2 ** Math.max(0, fruitless - 1), reason, status } = setback;
      if (!passes || fruitless >= attempts || attempt >= ATTEMPTS_IN_ALL) {
        const text = `${url} cannot be downloaded: ${reason}`;
        throw status === 404 ? new NoSuchFile(text, 1) : failure(text);
      }
      effects.say(`${url}: ${reason}; trying again in ${seconds(pauseMs)}`);
      await pause(pauseMs, signal).catch(() => signal.throwIfAborted());
    }
  } finally {
    closeSync(file);
  }
}

/** @returns why it has not brought the file */
async function attemptOnce(request: DownloadRequest, file: number, effects: DownloadEffects) {
  const stall = new AbortController();
  const { stallMs } = request;
  const fail = () => stall.abort(new AttemptFailed({ reason: `no byte came for ${seconds(stallMs)}`, passes: true }));
  const timer = setTimeout(fail, stallMs);
  try {
    await transfer(request, file, effects, AbortSignal.any([effects.signal, stall.signal]), timer);
    return undefined;
  } catch (error) {
    effects.signal.throwIfAborted();
    const cause = stall.signal.aborted ? stall.signal.reason : error;
    const setback = cause instanceof AttemptFailed ? cause.setback : networkSetback(cause);
    if (setback === undefined) throw error;
    return setback;
  } finally {
    clearTimeout(timer);
  }
}

async function transfer(
  { path, url }: DownloadRequest,
  file: number,
  { update }: DownloadEffects,
  signal: AbortSignal,
  timer: NodeJS.Timeout,
): Promise<void> {
  let received = fstatSync(file).size;
  const plain = { 'accept-encoding': 'identity', 'user-agent': 'openshell-tasks' };
  const headers = received === 0 ? plain : { ...plain, range: `bytes=${received}-` };
  const response = await fetch(url, { headers, signal });
  timer.refresh();
  if (!continues(url, response, received)) {
    ftruncateSync(file);
    received = 0;
  }
  if (response.status === 416) throw new AttemptFailed({ reason: 'it cannot be continued', passes: true });
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  const total = length === null ? undefined : received + Number(length);
  for await (const piece of response.body ?? []) {
    timer.refresh();
    try {
      writeFileSync(file, piece);
    } catch (error) {
      throw named(path, error);
    }
    received += piece.length;
    update?.(received, total);
  }
  if (total === undefined || received === total) return;
  throw new AttemptFailed({ reason: `it ended after ${received} of ${total} bytes`, passes: true });
}

/** Judges the head of a response: whether it is the rest of what has come, or the whole file. */
function continues(asked: string, { headers, status, url }: Response, received: number): boolean {
  if (asked.startsWith('https:') && !url.startsWith('https:')) {
    throw new AttemptFailed({ reason: `it leads to ${url}, which is not encrypted`, passes: false });
  }
  if (status === 416) return false;
  const setback = setbackOf(status, headers, Date.now());
  if (setback !== undefined) throw new AttemptFailed({ ...setback, status });
  return status === 206 && headers.get('content-range')?.startsWith(`bytes ${received}-`) === true;
}

/** How far a download is: a line that is written over at a terminal, a line now and then elsewhere. */
export function progressOf(terminal: Terminal, what: string, intervalMs = terminal.hasPassing ? PASSING_MS : LINE_MS) {
  let last = performance.now();
  return (received: number, total: number | undefined): void => {
    if (performance.now() - last < intervalMs) return;
    last = performance.now();
    const text = `${what}: ${megabytes(received)}`;
    const share = total ? ` of ${megabytes(total)} (${Math.floor((received / total) * 100)} %)` : '';
    if (terminal.hasPassing) terminal.passing(text + share);
    else terminal.say(text + share);
  };
}

/**
 * Sends every later `fetch` of this process through the proxies that the environment names, in either case.
 * @throws usageError for a proxy that is not a URL
 */
export async function useProxies(env: Environment): Promise<void> {
  const set = [...PROXIES, 'no_proxy', 'NO_PROXY'].filter((name) => textOf(env, name) !== undefined);
  const proxies = PROXIES.filter((name) => set.includes(name));
  if (proxies.length === 0) return;
  // The value may hold a password, and is not shown.
  const wrong = proxies.find((name) => !/^https?:$/.test(URL.parse(textOf(env, name) ?? '')?.protocol ?? ''));
  if (wrong !== undefined) {
    const allowed = 'allowed is http://HOST:PORT or https://; change it or unset it';
    throw usageError(`${wrong} is not the URL of a proxy; ${allowed}`);
  }
  const { default: http } = await import('node:http');
  if (typeof http.setGlobalProxyFromEnv !== 'function') {
    throw usageError(`${proxies[0]} is set, and this Node (${process.version}) knows no proxies; take 24.14 or later`);
  }
  http.setGlobalProxyFromEnv(Object.fromEntries(set.map((name) => [name, textOf(env, name)])));
}
