// SPDX-License-Identifier: Apache-2.0

/** The API of a fake engine: a socket that takes the ping of a gateway, as docker or as podman's service. */

import { mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { onTestFinished } from 'vitest';

/** Serves on a socket until the test ends; `info` is what it says of itself. */
export function serveApi(path: string, engine: 'docker' | 'podman', info: object = {}): string {
  const own = { docker: { 'Api-Version': '1.41' }, podman: { 'Api-Version': '1.41', 'Libpod-Api-Version': '4.3.1' } };
  const server = createServer((request, response) => {
    response.writeHead(200, own[engine]).end(request.url === '/info' ? JSON.stringify(info) : 'OK');
  });
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  server.listen(path);
  onTestFinished(() => void server.close());
  return path;
}
