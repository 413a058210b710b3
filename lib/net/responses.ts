// SPDX-License-Identifier: Apache-2.0

/** What a response, or none, means for a download: take it, try again after a while, or give up. Pure. */

import { seconds } from '../cli/terminal.ts';
import { errnoOf, oneLine } from '../errors.ts';

/** A server that asks for a longer pause is not waited for. */
const PAUSE_MAX_MS = 120_000;
/** Statuses that pass: time-outs, and servers that are overloaded or being restarted. */
const PASSING: readonly number[] = [408, 425, 429, 500, 502, 503, 504];
const RATE_LIMITS: readonly number[] = [403, 429];

const STATUS_HINTS: Readonly<Record<number, string>> = {
  401: 'it wants to know who asks; sign in with gh auth login',
  403: 'access is denied, or too much was asked; sign in with gh auth login, or try again later',
  404: 'there is no such file',
  407: 'the proxy wants a user and a password; put them into HTTPS_PROXY',
};

const NETWORK_REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'its host is not known; check the network, or set HTTPS_PROXY where one is needed',
  EAI_AGAIN: 'its host cannot be looked up now; check the network',
  ECONNREFUSED: 'the server, or the proxy, does not accept connections',
  ECONNRESET: 'the server broke the connection off',
  UND_ERR_SOCKET: 'the server broke the connection off',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
};

/** What to do about an attempt that has not brought the file. */
export interface Setback {
  readonly reason: string;
  /** Whether another attempt may go better. */
  readonly passes: boolean;
  /** How long the server asked to be left alone. */
  readonly pauseMs?: number | undefined;
  /** Of a response. */
  readonly status?: number;
}

/**
 * What is wrong with a response.
 * @param now milliseconds since 1970
 * @returns `undefined` for one with the file
 */
export function setbackOf(status: number, headers: Headers, now: number): Setback | undefined {
  if (status === 200 || status === 206) {
    if (!/^\s*text\/html\b/i.test(headers.get('content-type') ?? '')) return undefined;
    return { reason: 'it sent a web page, not the file; check what is between here and the server', passes: false };
  }
  const pauseMs = pauseAsked(status, headers, now);
  if (pauseMs !== undefined && pauseMs > PAUSE_MAX_MS) {
    return { reason: `it wants no request for ${seconds(pauseMs)} (HTTP ${status})`, passes: false };
  }
  return {
    reason: `it answered ${statusText(status)}`,
    passes: pauseMs !== undefined || PASSING.includes(status),
    pauseMs,
  };
}

function statusText(status: number): string {
  const hint = STATUS_HINTS[status];
  return `HTTP ${status}${hint === undefined ? '' : `: ${hint}`}`;
}

/** `Retry-After` in seconds or as a date, else when GitHub's limit ends. */
function pauseAsked(status: number, headers: Headers, now: number): number | undefined {
  const after = headers.get('retry-after');
  if (after !== null && (RATE_LIMITS.includes(status) || status === 503)) {
    const ms = /^[0-9]+$/.test(after.trim()) ? Number(after) * 1000 : Date.parse(after) - now;
    return Number.isNaN(ms) ? undefined : Math.max(0, ms);
  }
  const isSpent = RATE_LIMITS.includes(status) && headers.get('x-ratelimit-remaining') === '0';
  const reset = headers.get('x-ratelimit-reset') ?? '';
  return isSpent && /^\d+$/.test(reset) ? Math.max(0, Number(reset) * 1000 - now) : undefined;
}

/**
 * What an error of `fetch`, or of reading a body, means.
 * @returns `undefined` for an error that is not the network's
 */
export function networkSetback(error: unknown): Setback | undefined {
  const chain = causesOf(error);
  const isFetch = chain.some((one) => one instanceof TypeError && /^(fetch failed|terminated)$/.test(one.message));
  if (!isFetch || chain.some((one) => errnoOf(one) !== undefined && 'path' in one)) return undefined;
  const refusal = chain.map(({ message }) => /^Proxy response \((\d+)\)/.exec(message)?.[1]).find(Boolean);
  const message = oneLine(chain.at(-1)?.message ?? '');
  // Of this answer alone fetch tells nothing (seen on Node 24.21).
  const status = refusal === undefined && message === '' ? 407 : Number(refusal);
  if (status > 0) {
    const said = status === 407 ? statusText(status) : `HTTP ${status}: it does not let this through; ask who keeps it`;
    return { reason: `the proxy answered ${said}`, passes: PASSING.includes(status) };
  }
  const code = chain.map(({ code: one }: NodeJS.ErrnoException) => one).find((one) => typeof one === 'string');
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|ALTNAME|UNABLE_TO_VERIFY/.test(code ?? '');
  const hint = isCertificate ? '; where a proxy reads along, name its certificate in NODE_EXTRA_CA_CERTS' : '';
  return {
    reason: `${NETWORK_REASONS[code ?? ''] ?? message}${code === undefined ? '' : ` (${code})`}${hint}`,
    passes: !isCertificate && code !== 'ENOTFOUND' && !/redirect|bad port|scheme/i.test(message),
  };
}

function causesOf(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  // One error for each address of a host.
  const cause = error.cause instanceof AggregateError ? error.cause.errors[0] : error.cause;
  return [error, ...causesOf(cause)];
}
