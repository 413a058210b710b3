// SPDX-License-Identifier: Apache-2.0

import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';

/** Listens on a free port of an address for as long as the test runs. */
export async function listen(host: string): Promise<number> {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  return (server.address() as { port: number }).port;
}
