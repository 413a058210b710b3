// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { download, useProxies } from '../../lib/net/download.ts';
import { ReleaseServer } from '../support/release-server.ts';
import { refusalOf } from '../support/task-errors.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** A proxy that sends every host on to one server, and says what it was asked. */
async function startProxy(target: string): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const to = new URL(target);
  const proxy = createServer((incoming, response) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    const { pathname } = new URL(incoming.url ?? '');
    request(`${target}${pathname}`, { headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    }).end();
  });
  proxy.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    const upstream = connect(Number(to.port), to.hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const one of [socket, upstream]) one.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked };
}

test('what is downloaded comes through the proxy, and what NO_PROXY names does not', async () => {
  const server = (await ReleaseServer.start()).add('file', 'content');
  const proxy = await startProxy(server.url);
  const path = join(temporaryDirectory(), 'file');
  const effects = { signal: new AbortController().signal, update: () => undefined, say: () => undefined };
  const get = (url: string) => download({ url, path, isVerified: false, stallMs: 5000 }, effects);
  useProxies({ HTTP_PROXY: proxy.url, NO_PROXY: '127.0.0.1' });
  await get('http://releases.invalid/file');
  expect(readFileSync(path, 'utf8')).toBe('content');
  expect(proxy.asked).toHaveLength(1);
  expect(proxy.asked[0]).toMatch(/releases\.invalid/);
  await get(`${server.url}/file`);
  expect(proxy.asked).toHaveLength(1);
  useProxies({ HTTP_PROXY: 'http://127.0.0.1:1' });
  const over = AbortSignal.timeout(500);
  await expect(
    download(
      { url: 'http://releases.invalid/file', path, isVerified: false, stallMs: 5000 },
      { ...effects, signal: over },
    ),
  ).rejects.toThrow();
});

test('a proxy that is not a URL is refused, without its password', () => {
  expect(refusalOf(() => useProxies({ https_proxy: 'user:geheim@proxy' }))).toBe(
    '2: https_proxy is not the URL of a proxy; allowed is http://HOST:PORT or https://; change it or unset it',
  );
  useProxies({ HTTPS_PROXY: '', NO_PROXY: 'x' });
});
