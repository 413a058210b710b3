// SPDX-License-Identifier: Apache-2.0

/** One file over HTTP: continued where it broke off, tried again for what can pass, given up for what cannot. */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Environment, textOf } from '../cli/env.ts';
import { megabytes, seconds, type Terminal } from '../cli/terminal.ts';
import { EXIT, failure, naming, oneLine, TaskError, usageError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';

/** Attempts without a new byte before it is given up. */
const ATTEMPTS_MAX = 3;
const PAUSE_MS = 1000;
/** A server that asks for a longer pause is not waited for. */
const PAUSE_MAX_MS = 120_000;
/** Statuses that pass: time-outs, and servers that are overloaded or being restarted. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

const HINTS: Readonly<Record<number | string, string>> = {
  401: ': it wants to know who asks; sign in with gh auth login',
  403: ': access is denied, or too much was asked; sign in with gh auth login, or try again later',
  407: ': the proxy wants a user and a password; put them into HTTPS_PROXY',
  ENOTFOUND: 'its host is not known; check the network, or set HTTPS_PROXY where one is needed',
  ECONNREFUSED: 'the server, or the proxy, does not accept connections',
  UND_ERR_SOCKET: 'the server broke the connection off',
};
/** How often it is said how far a download is: over and over in one line of a terminal, else rarely. */
const PASSING_MS = 200;
const LINE_MS = 10_000;

const PROXIES = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'];

export interface DownloadRequest {
  readonly url: string;
  readonly path: string;
  /** Whether the caller knows what the file has to be: then what has come is continued, as a wrong end cannot pass. */
  readonly isVerified: boolean;
  /** How long a server may send nothing. */
  readonly stallMs: number;
}

export interface DownloadEffects {
  /** Ends it; what has come stays in the file. */
  readonly signal: AbortSignal;
  /** Called with the bytes so far and in all. */
  update(received: number, total: number | undefined): void;
  /** Says why an attempt failed, and that there is another one. */
  say(text: string): void;
}

/** The server has no such file. */
export class NoSuchFile extends TaskError {}

/** Why an attempt has not brought the file. */
export class Setback extends Error {
  /** Whether another attempt may go better. */
  readonly passes: boolean;
  /** How long the server asked to be left alone. */
  readonly pauseMs: number | undefined;

  constructor(reason: string, passes: boolean, pauseMs?: number) {
    super(reason);
    this.passes = passes;
    this.pauseMs = pauseMs;
  }
}

/** Downloads a file. @throws NoSuchFile where the server has none, failure for other reasons, the reason of `signal` */
export async function download(request: DownloadRequest, effects: DownloadEffects): Promise<void> {
  const { isVerified, path, url } = request;
  const { signal } = effects;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_APPEND;
  const file = asOwner(dirname(path), () => openSync(path, flags, 0o600));
  try {
    for (let [most, fruitless] = [isVerified ? fstatSync(file).size : 0, 0]; ; ) {
      if (!isVerified) ftruncateSync(file);
      const setback = await attemptOnce(request, file, effects);
      if (setback === undefined) return;
      const { size } = fstatSync(file);
      fruitless = size > most ? 0 : fruitless + 1;
      most = Math.max(most, size);
      const { message, passes, pauseMs = PAUSE_MS * 2 ** Math.max(0, fruitless - 1) } = setback;
      if (!passes || fruitless >= ATTEMPTS_MAX) throw failure(`${url} cannot be downloaded: ${message}`);
      effects.say(`${url}: ${message}; trying again in ${seconds(pauseMs)}`);
      await sleep(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  } finally {
    closeSync(file);
  }
}

/** @returns why it has not brought the file */
async function attemptOnce({ path, stallMs, url }: DownloadRequest, file: number, effects: DownloadEffects) {
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(new Setback(`no byte came for ${seconds(stallMs)}`, true)), stallMs);
  let received = fstatSync(file).size;
  const plain = { 'accept-encoding': 'identity', 'user-agent': 'openshell-tasks' };
  const headers = received === 0 ? plain : { ...plain, range: `bytes=${received}-` };
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.any([effects.signal, stall.signal]) });
    timer.refresh();
    if (!continues(url, response, received)) {
      ftruncateSync(file);
      received = 0;
    }
    if (response.status === 416) throw new Setback('it cannot be continued', true);
    const length = response.headers.get('content-length');
    const total = length === null ? undefined : received + Number(length);
    for await (const piece of response.body ?? []) {
      timer.refresh();
      naming(path, () => writeFileSync(file, piece));
      received += piece.length;
      effects.update(received, total);
    }
    return undefined;
  } catch (error) {
    effects.signal.throwIfAborted();
    const cause: unknown = stall.signal.aborted ? stall.signal.reason : error;
    const setback = cause instanceof Setback ? cause : networkSetback(cause);
    if (setback === undefined) throw error;
    return setback;
  } finally {
    clearTimeout(timer);
  }
}

/** Judges the head of a response: whether it is the rest of what has come, or the whole file. */
function continues(asked: string, { headers, status, url }: Response, received: number): boolean {
  if (asked.startsWith('https:') && !url.startsWith('https:')) {
    throw new Setback(`it leads to ${url}, which is not encrypted`, false);
  }
  if (status === 416) return false;
  if (status === 404)
    throw new NoSuchFile(`${asked} cannot be downloaded: HTTP 404: there is no such file`, EXIT.failed);
  const setback = setbackOf(status, headers, Date.now());
  if (setback !== undefined) throw setback;
  return status === 206 && headers.get('content-range')?.startsWith(`bytes ${received}-`) === true;
}

/** What is wrong with a response; `undefined` for one with the file. `now` is in milliseconds since 1970. */
export function setbackOf(status: number, headers: Headers, now: number): Setback | undefined {
  if (status === 200 || status === 206) {
    if (!/^\s*text\/html\b/i.test(headers.get('content-type') ?? '')) return undefined;
    return new Setback('it sent a web page, not the file; check what is between here and the server', false);
  }
  const after = headers.get('retry-after') ?? '';
  const asked = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - now;
  const pauseMs = Number.isNaN(asked) ? undefined : Math.max(0, asked);
  if (pauseMs !== undefined && pauseMs > PAUSE_MAX_MS) {
    return new Setback(`it wants no request for ${seconds(pauseMs)} (HTTP ${status})`, false);
  }
  const passes = pauseMs !== undefined || PASSING.includes(status);
  return new Setback(`it answered HTTP ${status}${HINTS[status] ?? ''}`, passes, pauseMs);
}

/** What an error of `fetch`, or of reading a body, means; `undefined` for one that is not the network's. */
export function networkSetback(error: unknown): Setback | undefined {
  const chain = causesOf(error);
  const isFetch = chain.some((one) => one instanceof TypeError && /^(fetch failed|terminated)$/.test(one.message));
  if (!isFetch) return undefined;
  const message = oneLine(chain.at(-1)?.message ?? '');
  const refusal = /^Proxy response \((\d+)\)/.exec(message)?.[1];
  // Of this answer alone fetch tells nothing (seen on Node 24.21).
  const status = refusal === undefined && message === '' ? 407 : Number(refusal);
  if (status > 0) {
    const hint = status === 407 ? HINTS[407] : ': it does not let this through; ask who keeps it';
    return new Setback(`the proxy answered HTTP ${status}${hint}`, PASSING.includes(status));
  }
  const code = chain.map(({ code: one }: NodeJS.ErrnoException) => one).find((one) => typeof one === 'string') ?? '';
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|ALTNAME|UNABLE_TO_VERIFY/.test(code);
  const hint = isCertificate ? '; where a proxy reads along, name its certificate in NODE_EXTRA_CA_CERTS' : '';
  const passes = !isCertificate && code !== 'ENOTFOUND' && !/redirect|bad port|scheme/i.test(message);
  return new Setback(`${HINTS[code] ?? message}${code === '' ? '' : ` (${code})`}${hint}`, passes);
}

function causesOf(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  // One error for each address of a host.
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  return [error, ...causesOf(cause)];
}

/** How far a download is: a line that is written over at a terminal, a line now and then elsewhere. */
export function progressOf(terminal: Terminal, what: string, intervalMs = terminal.hasPassing ? PASSING_MS : LINE_MS) {
  let last = performance.now();
  return (received: number, total: number | undefined): void => {
    if (performance.now() - last < intervalMs) return;
    last = performance.now();
    const share = total ? ` of ${megabytes(total)} (${Math.floor((received / total) * 100)} %)` : '';
    const text = `${what}: ${megabytes(received)}${share}`;
    if (terminal.hasPassing) terminal.passing(text);
    else terminal.say(text);
  };
}

/** Sends every later `fetch` through the proxies of the environment. @throws usageError for one that is no URL */
export function useProxies(env: Environment): void {
  const proxies = PROXIES.filter((name) => textOf(env, name) !== undefined);
  if (proxies.length === 0) return;
  // The value may hold a password, and is not shown.
  const wrong = proxies.find((name) => !/^https?:$/.test(URL.parse(textOf(env, name) ?? '')?.protocol ?? ''));
  if (wrong !== undefined) {
    throw usageError(
      `${wrong} is not the URL of a proxy; allowed is http://HOST:PORT or https://; change it or unset it`,
    );
  }
  if (typeof http.setGlobalProxyFromEnv !== 'function') {
    throw usageError(`${proxies[0]} is set, and this Node (${process.version}) knows no proxies; take 24.14 or later`);
  }
  const names = [...proxies, 'no_proxy', 'NO_PROXY'].filter((name) => textOf(env, name) !== undefined);
  http.setGlobalProxyFromEnv(Object.fromEntries(names.map((name) => [name, textOf(env, name)])));
}
