// SPDX-License-Identifier: Apache-2.0

/** The API of an engine on a socket, seen as OpenShell's gateway sees it. */

import { connect } from 'node:net';
import { errnoOf } from '../errors.ts';
import { type EngineInfo, parseInfo } from './types.ts';

/** The gateway itself waits for a second; a machine that builds is slower than one that does not. */
const RESPONSE_TIMEOUT_MS = 5_000;
const HEADERS_END = '\r\n\r\n';

/** What responds on a socket, or why nothing of use does, as the end of a sentence. */
export type SocketResult =
  | { readonly ok: true; readonly isPodmanService: boolean }
  | { readonly ok: false; readonly reason: string; readonly timedOut?: true };

/**
 * Sends the ping with which OpenShell's gateway looks for engines.
 * @param unless ends it when it aborts
 */
export async function pingSocket(path: string, unless: AbortSignal): Promise<SocketResult> {
  const response = await request(path, '/_ping', unless, (text) => text.includes(HEADERS_END));
  if (typeof response !== 'string') return response;
  if (!/^HTTP\/1\.[01] 200\b/.test(response) || !/^(Libpod-)?Api-Version:/im.test(response)) {
    return { ok: false, reason: 'does not respond as an engine' };
  }
  return { ok: true, isPodmanService: /^Libpod-Api-Version:/im.test(response) };
}

/** What the engine says of itself there; `undefined` where it does not, `silent` where it says nothing in time. */
export async function infoFrom(path: string, unless: AbortSignal): Promise<EngineInfo | 'silent' | undefined> {
  const response = await request(path, '/info', unless, () => false);
  if (typeof response !== 'string') return response.timedOut ? 'silent' : undefined;
  return parseInfo(response.slice(response.indexOf(HEADERS_END)));
}

/**
 * The response of HTTP 1.0, in which no body is cut into chunks.
 * @param isEnough whether the rest is not needed
 */
function request(
  path: string,
  target: string,
  unless: AbortSignal,
  isEnough: (text: string) => boolean,
): Promise<string | Extract<SocketResult, { ok: false }>> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ path, signal: unless });
    const end = (result: Parameters<typeof resolve>[0]) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const reason = `takes a connection and does not respond within ${RESPONSE_TIMEOUT_MS / 1000} s`;
    const timer = setTimeout(() => end({ ok: false, reason, timedOut: true }), RESPONSE_TIMEOUT_MS);
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (isEnough(text)) end(text);
    });
    socket.once('connect', () => socket.write(`GET ${target} HTTP/1.0\r\nHost: localhost\r\n\r\n`));
    socket.once('end', () => end(text));
    socket.once('error', (error) => end({ ok: false, reason: reasonOf(error) }));
  });
}

function reasonOf(error: Error): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'does not exist',
    ENOTDIR: 'does not exist',
    ECONNREFUSED: 'has no listener',
    ENOTSOCK: 'is not a socket',
    EACCES: 'cannot be connected to: permission denied',
  };
  return reasons[errnoOf(error) ?? ''] ?? `cannot be connected to (${error.message})`;
}
