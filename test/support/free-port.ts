// SPDX-License-Identifier: Apache-2.0

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that systems give to connections, which would take a port between its choice and its use. */
const LOWEST = 20_000;
const HIGHEST = 32_767;

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const port = randomInt(LOWEST, HIGHEST + 1);
  return (await canListen(port)) ? port : freePort();
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
