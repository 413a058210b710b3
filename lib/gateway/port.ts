// SPDX-License-Identifier: Apache-2.0

/**
 * Ports: whether a gateway could listen, and who listens. The very address is bound and released; a connection is tried
 * as well, because some systems let a second listener bind beside one on the wildcard address.
 */

import { readlinkSync } from 'node:fs';
import { connect, createServer, isIP } from 'node:net';
import { basename } from 'node:path';
import { notAllowed } from '../cli/env.ts';
import { usageError } from '../errors.ts';
import { namesIn, textIn } from '../fs/paths.ts';
import { poll } from '../process/poll.ts';

const VARIABLE = 'OPENSHELL_SERVER_PORT';
const IN_USE = 'EADDRINUSE';
const PORT_MAX = 65_535;
const CONNECT_TIMEOUT_MS = 500;
/** Another launch that tries the port holds it for a millisecond. */
const RELEASE = { intervalMs: 20, timeoutMs: 200 };

/** A TCP port, in decimal digits. @throws usageError naming the variable */
export function parsePort(source: string, text: string): number {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port >= 1 && port <= PORT_MAX) return port;
  throw notAllowed(source, text, `is a whole number from 1 to ${PORT_MAX}`);
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
export async function verifyPortFree(address: string, port: number, variable = VARIABLE): Promise<void> {
  const code = await lastingObstacle(address, port);
  if (code === undefined) return;
  const where = httpEndpoint(address, port).slice('http://'.length);
  const owner = code === IN_USE ? portOwner(port) : undefined;
  const reasons: Readonly<Record<string, string>> = {
    [IN_USE]: `${where} is in use${owner === undefined ? '' : ` by ${owner}`}; stop it, or set ${variable}`,
    EACCES: `this user may not listen on ${where}; set ${variable} to a port of 1024 or more`,
    EADDRNOTAVAIL: `${address} is not an address of this machine; set OPENSHELL_BIND_ADDRESS to one that is`,
    EAFNOSUPPORT: `this machine has no addresses of the kind of ${address}; set OPENSHELL_BIND_ADDRESS to another`,
  };
  throw usageError(reasons[code] ?? `${where} cannot be listened on (${code}); set ${variable}`);
}

/** Why a gateway could not listen; the port is in use only where it stays so: another launch may look at it as well. */
async function lastingObstacle(address: string, port: number): Promise<string | undefined> {
  let code: string | undefined;
  const attempt = async () => {
    code = await bindError(address, port);
    if (code === undefined && (await canConnect(reachableAddress(address), port))) code = IN_USE;
    return code === IN_USE ? undefined : true;
  };
  await poll(attempt, RELEASE);
  return code;
}

/** The error code of binding; `undefined` where it succeeds. The port is released at once. */
function bindError(address: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
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
    return `${textIn(`/proc/${pid}/comm`)?.trim() || 'a process'} (pid ${pid})`;
  }
}

/** The process that listens on a port; `undefined` where the system does not tell. */
export function listenerPid(port: number): string | undefined {
  const inodes = listenersOf(port);
  if (inodes.size === 0) return undefined;
  const pids = namesIn('/proc').filter((name) => /^[0-9]+$/.test(name));
  return pids.find((pid) => holdsOne(`/proc/${pid}/fd`, inodes));
}

/** Whether a process listens on a port; `undefined` where the system does not tell. */
export function isListening(pid: number, port: number): boolean | undefined {
  const descriptors = `/proc/${pid}/fd`;
  return namesIn(descriptors).length === 0 ? undefined : holdsOne(descriptors, listenersOf(port));
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
