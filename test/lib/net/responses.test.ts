// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { networkSetback, setbackOf } from '../../../lib/net/responses.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

const judge = (status: number, headers: Record<string, string> = {}) => setbackOf(status, new Headers(headers), NOW);

describe('a response', () => {
  test.each([200, 206])('%i is the file, whatever its type, but for a web page', (status) => {
    expect(judge(status)).toBeUndefined();
    expect(judge(status, { 'content-type': 'application/octet-stream' })).toBeUndefined();
    expect(judge(status, { 'content-type': 'Text/HTML;charset=utf-8' })).toMatchObject({ passes: false });
  });

  test.each([
    [408, true],
    [425, true],
    [429, true],
    [500, true],
    [502, true],
    [503, true],
    [504, true],
    [400, false],
    [401, false],
    [403, false],
    [404, false],
    [407, false],
    [410, false],
    [501, false],
  ])('%i: another attempt may go better: %s', (status, passes) => {
    expect(judge(status)).toMatchObject({ passes, message: expect.stringContaining(`HTTP ${status}`) });
  });

  test.each([
    ['seconds', { 'retry-after': '30' }, 30_000],
    ['a date', { 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }, 60_000],
    ['a date that is over', { 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT' }, 0],
  ])('a pause that is asked for, as %s', (_, headers, pauseMs) => {
    expect(judge(429, headers)).toMatchObject({ passes: true, pauseMs });
    expect(judge(403, headers), 'GitHub also says 403').toMatchObject({ passes: true, pauseMs });
  });

  test('a long pause is not waited for, and nonsense is no pause', () => {
    expect(judge(429, { 'retry-after': '3600' })).toMatchObject({
      passes: false,
      message: 'it wants no request for 60 min 0 s (HTTP 429)',
    });
    const nonsense = { passes: true, message: 'it answered HTTP 429', pauseMs: undefined };
    expect(judge(429, { 'retry-after': 'soon' })).toMatchObject(nonsense);
  });
});

test('errors of the network are told from others', () => {
  const caused = (cause: unknown) => Object.assign(new TypeError('fetch failed'), { cause });
  const coded = (code: string, message = 'x') => Object.assign(new Error(message), { code });
  expect(networkSetback(caused(coded('ECONNRESET')))).toMatchObject({ passes: true });
  expect(networkSetback(caused(coded('ENOTFOUND')))).toMatchObject({ passes: false });
  expect(networkSetback(caused(new AggregateError([coded('ECONNREFUSED')])))).toMatchObject({ passes: true });
  expect(networkSetback(caused(coded('CERT_HAS_EXPIRED', 'certificate has expired')))).toMatchObject({
    passes: false,
    message:
      'certificate has expired (CERT_HAS_EXPIRED); where a proxy reads along, name its certificate in NODE_EXTRA_CA_CERTS',
  });
  expect(networkSetback(caused(new Error('Proxy response (407) !== 200 when HTTP Tunneling')))?.message).toContain(
    '407',
  );
  const refused = networkSetback(caused(new Error('Proxy response (403) !== 200 when HTTP Tunneling')));
  expect(refused?.message).toBe('the proxy answered HTTP 403: it does not let this through; ask who keeps it');
  const leaf = coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate');
  expect(networkSetback(caused(leaf))?.message).toContain('NODE_EXTRA_CA_CERTS');
  expect(networkSetback(caused(new Error('redirect count exceeded')))).toMatchObject({ passes: false });
  const full = Object.assign(coded('ENOSPC'), { syscall: 'write', path: '/x' });
  expect(networkSetback(full)).toBeUndefined();
  expect(networkSetback(new TypeError('x is not a function'))).toBeUndefined();
});

test.each([
  [
    'a server that answers as a proxy does',
    407,
    {},
    'the proxy answered HTTP 407: the proxy wants a user and a password',
  ],
  ['a redirect to a file', 302, { location: 'file:///etc/passwd' }, 'URL scheme must be a HTTP(S) scheme'],
])('VT-29: %s is not tried again, and has a reason', async (_, status, headers, reason) => {
  const server = createServer((_request, response) => response.writeHead(status, headers).end()).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const error = await fetch(`http://127.0.0.1:${port}`).catch((one: unknown) => one);
  expect(networkSetback(error)).toMatchObject({ passes: false, message: expect.stringContaining(reason) });
});

test('VT-29: a port that fetch refuses is not tried again', async () => {
  const error = await fetch('http://127.0.0.1:10080').catch((one: unknown) => one);
  expect(networkSetback(error)).toMatchObject({ passes: false, message: 'bad port' });
});
