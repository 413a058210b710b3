// SPDX-License-Identifier: Apache-2.0

/** What a response, or none, means for a download: take it, try again after a while, or give up. Pure. */

import { seconds } from '../cli/terminal.ts';
import { errnoOf, oneLine } from '../errors.ts';

/** A server that asks for a longer pause is not waited for. */
const PAUSE_MAX_MS = 120_000;
/** Statuses that pass: time-outs, and servers that are overloaded or being restarted. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

const HINTS: Readonly<Record<number | string, string>> = {
  401: ': it wants to know who asks; sign in with gh auth login',
  403: ': access is denied, or too much was asked; sign in with gh auth login, or try again later',
  404: ': there is no such file',
  407: ': the proxy wants a user and a password; put them into HTTPS_PROXY',
  ENOTFOUND: 'its host is not known; check the network, or set HTTPS_PROXY where one is needed',
  ECONNREFUSED: 'the server, or the proxy, does not accept connections',
  UND_ERR_SOCKET: 'the server broke the connection off',
};

/** Why an attempt has not brought the file. */
export class Setback extends Error {
  /** Whether another attempt may go better. */
  readonly passes: boolean;
  /** How long the server asked to be left alone. */
  readonly pauseMs: number | undefined;
  /** Of a response. */
  readonly status: number | undefined;

  constructor(reason: string, passes: boolean, status?: number, pauseMs?: number) {
    super(reason);
    this.passes = passes;
    this.status = status;
    this.pauseMs = pauseMs;
  }
}

/**
 * What is wrong with a response; `undefined` for one with the file.
 * @param now milliseconds since 1970
 */
export function setbackOf(status: number, headers: Headers, now: number): Setback | undefined {
  if (status === 200 || status === 206) {
    if (!/^\s*text\/html\b/i.test(headers.get('content-type') ?? '')) return undefined;
    return new Setback('it sent a web page, not the file; check what is between here and the server', false, status);
  }
  const after = headers.get('retry-after') ?? '';
  const asked = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - now;
  const pauseMs = Number.isNaN(asked) ? undefined : Math.max(0, asked);
  if (pauseMs !== undefined && pauseMs > PAUSE_MAX_MS) {
    return new Setback(`it wants no request for ${seconds(pauseMs)} (HTTP ${status})`, false, status);
  }
  const passes = pauseMs !== undefined || PASSING.includes(status);
  return new Setback(`it answered HTTP ${status}${HINTS[status] ?? ''}`, passes, status, pauseMs);
}

/** What an error of `fetch`, or of reading a body, means; `undefined` for one that is not the network's. */
export function networkSetback(error: unknown): Setback | undefined {
  const chain = causesOf(error);
  const isFetch = chain.some((one) => one instanceof TypeError && /^(fetch failed|terminated)$/.test(one.message));
  if (!isFetch || chain.some((one) => errnoOf(one) !== undefined && 'path' in one)) return undefined;
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
