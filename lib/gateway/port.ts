// SPDX-License-Identifier: Apache-2.0

/** Ports: whether a gateway could listen, and who listens. */

import { readlinkSync } from 'node:fs';
import { connect, createServer, isIP } from 'node:net';
import { basename } from 'node:path';
import { parseCount } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { namesIn, textIn } from '../fs/paths.ts';
import { poll } from '../process/poll.ts';

const IN_USE = 'EADDRINUSE';
const CONNECT_TIMEOUT_MS = 500;
/** Another launch, or a row of the doctor, that tries the port holds it for a millisecond. */
const RELEASE = { intervalMs: 20, timeoutMs: 200 };

/** A TCP port, in decimal digits. @throws usageError naming the variable */
export function parsePort(source: string, text: string): number {
  return parseCount(source, text, 1, 65_535);
}

/** The address under which this machine reaches a listener: a wildcard is reached through loopback. */
export function reachableAddress(bindAddress: string): string {
  if (bindAddress === '0.0.0.0') return '127.0.0.1';
  return isIP(bindAddress) === 6 && /^[0:]+$/.test(bindAddress) ? '::1' : bindAddress;
}

/** `http://host:port`; an IPv6 address in brackets. */
export function httpEndpoint(host: string, port: number): string {
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Checks that address and port can be listened on now. @throws usageError saying who holds it */
export async function verifyPortFree(address: string, port: number, variable = 'OPENSHELL_SERVER_PORT'): Promise<void> {
  let reason: string | undefined;
  const attempt = async () => {
    reason = await whyNotBound(address, port);
    // Some systems let a second listener bind beside one on the wildcard address.
    if (reason === undefined && (await canConnect(reachableAddress(address), port))) reason = IN_USE;
    return reason?.includes(IN_USE) ? undefined : true;
  };
  await poll(attempt, RELEASE);
  if (reason === undefined) return;
  const where = httpEndpoint(address, port).slice('http://'.length);
  if (!reason.includes(IN_USE)) {
    throw usageError(`${where} cannot be listened on (${reason}); set ${variable} or OPENSHELL_BIND_ADDRESS`);
  }
  const owner = portOwner(port);
  throw usageError(`${where} is in use${owner === undefined ? '' : ` by ${owner}`}; stop it, or set ${variable}`);
}

/** What the system says; `undefined` where binding succeeds. The port is released at once. */
function whyNotBound(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ message }) => resolve(message));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** Whether anything responds there. */
export function canConnect(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (responds: boolean) => {
      socket.destroy();
      resolve(responds);
    };
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => end(false));
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

/** A listener for users: `python3 (pid 123)`; `undefined` where `/proc` does not tell, as for other users' processes. */
export function portOwner(port: number): string | undefined {
  const pid = listenerPid(port);
  if (pid === undefined) return undefined;
  try {
    return `${basename(readlinkSync(`/proc/${pid}/exe`))} (pid ${pid})`;
  } catch {
    return `pid ${pid}`;
  }
}

/** Whether a process listens on a port; `undefined` where the system does not tell. */
export function isListening(pid: number, port: number): boolean | undefined {
  const listener = listenerPid(port);
  return listener === undefined ? undefined : Number(listener) === pid;
}

/** The process that listens on a port; `undefined` where the system does not tell. */
export function listenerPid(port: number): string | undefined {
  const inodes = listenersOf(port);
  if (inodes.size === 0) return undefined;
  return namesIn('/proc').find((pid) => /^[0-9]+$/.test(pid) && holdsOne(`/proc/${pid}/fd`, inodes));
}

/** The inodes of the sockets that listen on a port, of both address families: proc_pid_net(5). */
function listenersOf(port: number): Set<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const lines = ['tcp', 'tcp6'].flatMap((table) => (textIn(`/proc/net/${table}`) ?? '').split('\n'));
  const fields = lines.map((line) => line.trim().split(/\s+/));
  // The state 0A is LISTEN.
  const listeners = fields.filter(([, local, , state]) => state === '0A' && local?.endsWith(`:${hex}`));
  return new Set(listeners.map((line) => line[9] ?? ''));
}

function holdsOne(descriptors: string, inodes: ReadonlySet<string>): boolean {
  return namesIn(descriptors).some((name) => {
    try {
      return inodes.has(/^socket:\[(\d+)\]$/.exec(readlinkSync(`${descriptors}/${name}`))?.[1] ?? 'none');
    } catch {
      // Closed between the listing and now.
      return false;
    }
  });
}
