// SPDX-License-Identifier: Apache-2.0

/** What a response, or none, means for a download: take it, try again after a while, or give up. Pure. */

import { seconds } from '../cli/terminal.ts';
import { errnoOf, oneLine } from '../errors.ts';

/** A server that asks for a longer pause is not waited for. */
const PAUSE_MAX_MS = 120_000;
const DAY_MS = 86_400_000;
/** Statuses that pass: time-outs, and servers that are overloaded or being restarted. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];
const RATE_LIMITS: readonly number[] = [403, 429];

const NETWORK_REASONS: Readonly<Record<string, { readonly reason: string; readonly passes: boolean }>> = {
  ENOTFOUND: {
    reason: 'its host is not known; check the network, or set HTTPS_PROXY where one is needed',
    passes: false,
  },
  EAI_AGAIN: { reason: 'its host cannot be looked up now; check the network', passes: true },
  ECONNREFUSED: { reason: 'the server, or the proxy, does not accept connections', passes: true },
  ECONNRESET: { reason: 'the server broke the connection off', passes: true },
  EPIPE: { reason: 'the server broke the connection off', passes: true },
  ETIMEDOUT: { reason: 'the connection timed out', passes: true },
  EHOSTUNREACH: { reason: 'its host cannot be reached', passes: true },
  ENETUNREACH: { reason: 'the network cannot be reached', passes: true },
  UND_ERR_SOCKET: { reason: 'the server broke the connection off', passes: true },
  UND_ERR_CONNECT_TIMEOUT: { reason: 'the connection timed out', passes: true },
  UND_ERR_HEADERS_TIMEOUT: { reason: 'the server did not respond', passes: true },
  UND_ERR_BODY_TIMEOUT: { reason: 'the server stopped sending', passes: true },
};

/** What to do about an attempt that has not brought the file. */
export interface Setback {
  readonly reason: string;
  /** Whether another attempt may go better. */
  readonly passes: boolean;
  /** How long the server asked to be left alone. */
  readonly pauseMs?: number;
}

/**
 * What is wrong with a response.
 * @param now milliseconds since 1970
 * @returns `undefined` for one with the file
 */
export function setbackOf(status: number, headers: Headers, now: number): Setback | undefined {
  if (status === 200 || status === 206) {
    const type = headers.get('content-type') ?? '';
    if (!/^\s*text\/html\b/i.test(type)) return undefined;
    return { reason: 'it sent a web page, not the file; check what is between here and the server', passes: false };
  }
  const limit = pauseAsked(status, headers, now);
  if (limit !== undefined && limit > PAUSE_MAX_MS) {
    const wait = limit > DAY_MS ? 'more than a day' : seconds(limit);
    return { reason: `it wants no request for ${wait} (HTTP ${status})`, passes: false };
  }
  const pause = limit === undefined ? {} : { pauseMs: limit };
  return {
    reason: `it answered ${statusText(status)}`,
    passes: limit !== undefined || PASSING.includes(status),
    ...pause,
  };
}

function statusText(status: number): string {
  const hints: Readonly<Record<number, string>> = {
    401: 'it wants to know who asks; sign in with gh auth login',
    403: 'access is denied, or too much was asked; sign in with gh auth login, or try again later',
    404: 'there is no such file',
    407: 'the proxy wants a user and a password; put them into HTTPS_PROXY',
  };
  return `HTTP ${status}${hints[status] === undefined ? '' : `: ${hints[status]}`}`;
}

/** `Retry-After` in seconds or as a date, else when GitHub's limit ends. */
function pauseAsked(status: number, headers: Headers, now: number): number | undefined {
  const after = headers.get('retry-after');
  if (after !== null && (RATE_LIMITS.includes(status) || status === 503)) {
    const ms = /^[0-9]+$/.test(after.trim()) ? Number(after) * 1000 : Date.parse(after) - now;
    return Number.isNaN(ms) ? undefined : Math.max(0, ms);
  }
  const reset = headers.get('x-ratelimit-reset');
  const isSpent = RATE_LIMITS.includes(status) && headers.get('x-ratelimit-remaining') === '0';
  return isSpent && reset !== null && /^\d+$/.test(reset) ? Math.max(0, Number(reset) * 1000 - now) : undefined;
}

/**
 * What an error of `fetch`, or of reading a body, means.
 * @returns `undefined` for an error that is not the network's
 */
export function networkSetback(error: unknown): Setback | undefined {
  const chain = causesOf(error);
  const code = chain.map(({ code: one }: NodeJS.ErrnoException) => one).find((one) => typeof one === 'string');
  const refusal = chain.map(({ message }) => /^Proxy response \((\d+)\)/.exec(message)?.[1]).find(Boolean);
  if (refusal !== undefined) {
    const said =
      refusal === '407' ? statusText(407) : `HTTP ${refusal}: it does not let this through; ask who keeps it`;
    return { reason: `the proxy answered ${said}`, passes: PASSING.includes(Number(refusal)) };
  }
  const known = code === undefined ? undefined : NETWORK_REASONS[code];
  if (known !== undefined) return { reason: `${known.reason} (${code})`, passes: known.passes };
  const isFetch = chain.some((one) => one instanceof TypeError && /^(fetch failed|terminated)$/.test(one.message));
  if (!isFetch || chain.some((one) => isFileError(one))) return undefined;
  const message = chain.at(-1)?.message ?? 'no reason';
  // Of this answer alone fetch tells nothing (seen on Node 24.21).
  if (message === '') return { reason: `it answered ${statusText(407)}`, passes: false };
  const said = oneLine(message);
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|ALTNAME|UNABLE_TO_VERIFY/.test(code ?? '');
  const hint = isCertificate ? '; where a proxy reads along, name its certificate in NODE_EXTRA_CA_CERTS' : '';
  return {
    reason: `${said}${code === undefined ? '' : ` (${code})`}${hint}`,
    passes: !isCertificate && code === undefined && !/redirect|bad port|scheme/i.test(said),
  };
}

/** An error of a file has a path. */
function isFileError(error: Error): boolean {
  return errnoOf(error) !== undefined && (error as NodeJS.ErrnoException).path !== undefined;
}

function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  for (let at = error; at instanceof Error && causes.length < 10; at = at.cause) {
    causes.push(at);
    // One error for each address of a host.
    if (at instanceof AggregateError && at.errors[0] instanceof Error) causes.push(at.errors[0]);
  }
  return causes;
}
