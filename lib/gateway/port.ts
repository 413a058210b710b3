// SPDX-License-Identifier: Apache-2.0

/**
 * Whether a gateway could listen: the very address is bound and released. A connection is tried as well, because some
 * systems let a second listener bind beside one on the wildcard address.
 */

import { connect, createServer } from 'node:net';
import { usageError } from '../errors.ts';
import { poll } from '../process/poll.ts';
import { portOwner } from './port-owner.ts';
import { httpEndpoint, reachableAddress } from './value-checks.ts';

const VARIABLE = 'OPENSHELL_SERVER_PORT';
const IN_USE = 'EADDRINUSE';

const CONNECT_TIMEOUT_MS = 500;

/** Another launch that tries the port, as this one does, holds it for a millisecond only. */
const RELEASE_TIMEOUT_MS = 200;
const RELEASE_POLL_MS = 20;

/**
 * Checks that address and port can be listened on now.
 * @param variable sets the port
 * @throws usageError saying who holds it, where the system tells
 */
export async function verifyPortFree(address: string, port: number, variable = VARIABLE): Promise<void> {
  const code = await lastingObstacle(address, port);
  if (code === undefined) return;
  const where = httpEndpoint(address, port).slice('http://'.length);
  if (code === IN_USE) {
    const owner = portOwner(port);
    throw usageError(`${where} is in use${owner === undefined ? '' : ` by ${owner}`}; stop it, or set ${variable}`);
  }
  const reasons: Readonly<Record<string, string>> = {
    EACCES: `this user may not listen on ${where}; set ${variable} to a port of 1024 or more`,
    EADDRNOTAVAIL: `${address} is not an address of this machine; set OPENSHELL_BIND_ADDRESS to one that is`,
    EAFNOSUPPORT: `this machine has no addresses of the kind of ${address}; set OPENSHELL_BIND_ADDRESS to another`,
  };
  throw usageError(reasons[code] ?? `${where} cannot be listened on (${code}); set ${variable}`);
}

/** Why a gateway could not listen; the port is in use only where it stays so. */
async function lastingObstacle(address: string, port: number): Promise<string | undefined> {
  let code: string | undefined;
  const attempt = async () => {
    code = await bindError(address, port);
    if (code === undefined && (await canConnect(reachableAddress(address), port))) code = IN_USE;
    return code === IN_USE ? undefined : true;
  };
  await poll(attempt, { intervalMs: RELEASE_POLL_MS, timeoutMs: RELEASE_TIMEOUT_MS });
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
