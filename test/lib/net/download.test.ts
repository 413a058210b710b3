// SPDX-License-Identifier: Apache-2.0

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Terminal } from '../../../lib/cli/terminal.ts';
import { InterruptedError } from '../../../lib/errors.ts';
import {
  type DownloadRequest,
  download,
  NoSuchFile,
  networkSetback,
  progressOf,
  setbackOf,
} from '../../../lib/net/download.ts';
import { screen } from '../../support/in-process.ts';
import { breakOffAfter, ReleaseServer, stallAfter, status } from '../../support/release-server.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const FILE = randomBytes(300_000);

/** The pauses between attempts, which these tests do not wait for. */
const pauses = vi.hoisted(() => [] as number[]);
vi.mock('node:timers/promises', () => ({ setTimeout: async (ms: number) => pauses.push(ms) }));

/** A server with one file, and a download of it that does not wait between attempts. */
async function place() {
  const server = (await ReleaseServer.start()).add('file', FILE);
  const path = join(temporaryDirectory(), 'file.part');
  const said: string[] = [];
  pauses.length = 0;
  const controller = new AbortController();
  const run = (own: Partial<DownloadRequest> = {}, signal: AbortSignal = controller.signal) =>
    download(
      { url: `${server.url}/file`, path, isVerified: true, stallMs: 300, ...own },
      {
        signal,
        update: () => undefined,
        say: (text) => said.push(text),
      },
    );
  const isWhole = () => readFileSync(path).equals(FILE);
  return { server, path, said, controller, run, isWhole };
}

test('a file, for its owner alone', async () => {
  const { isWhole, path, run, said } = await place();
  await run();
  expect([isWhole(), said, statSync(path).mode & 0o777]).toEqual([true, [], 0o600]);
});

describe('broken off', () => {
  test('it is continued, and each pause is longer only while nothing comes', async () => {
    const { isWhole, run, server } = await place();
    server.failNext('file', breakOffAfter(1000), status(503), status(502), breakOffAfter(2000));
    await run();
    expect(isWhole()).toBe(true);
    expect(server.requests.slice(0, 2)).toEqual(['GET /file', 'GET /file bytes=1000-']);
    expect(server.requests.at(-1)).toMatch(/^GET \/file bytes=\d+-$/);
    expect(pauses).toEqual([1000, 1000, 2000, 1000]);
  });

  test('what an earlier run has left is continued only where the result is verified', async () => {
    const { isWhole, path, run, server } = await place();
    writeFileSync(path, FILE.subarray(0, 5000));
    await run();
    expect([isWhole(), server.requests]).toEqual([true, ['GET /file bytes=5000-']]);
    await run();
    expect([isWhole(), server.requests.slice(-2)]).toEqual([true, ['GET /file bytes=300000-', 'GET /file']]);
    writeFileSync(path, 'something else');
    await run({ isVerified: false });
    expect([isWhole(), server.requests.at(-1)]).toEqual([true, 'GET /file']);
    writeFileSync(path, Buffer.alloc(400_000));
    await run();
    expect(isWhole()).toBe(true);
  });

  test('a server without ranges sends it from the beginning', async () => {
    const { isWhole, run, server } = await place();
    server.hasRanges = false;
    server.failNext('file', breakOffAfter(100_000));
    await run();
    expect(isWhole()).toBe(true);
  });

  test('a file that has changed on the server is taken whole', async () => {
    const { path, run, server } = await place();
    const other = randomBytes(200_000);
    server.failNext('file', (request, response, file) => {
      breakOffAfter(100_000)(request, response, file);
      server.add('file', other);
    });
    await run({ isVerified: false });
    expect(readFileSync(path).equals(other)).toBe(true);
  });

  test('truncated each time: given up with the sizes', async () => {
    const { run, said, server } = await place();
    server.hasRanges = false;
    server.failNext('file', ...Array(20).fill(breakOffAfter(100_000)));
    await expect(run()).rejects.toThrow(/\/file cannot be downloaded: the server broke the connection off \(UND_ERR/);
    expect(said).toHaveLength(3);
  });

  test('a server that stalls', async () => {
    const { isWhole, run, said, server } = await place();
    server.failNext('file', stallAfter(7000), () => undefined);
    await run();
    expect(isWhole()).toBe(true);
    expect(said[0]).toMatch(/: no byte came for 0\.30 s; trying again in 1\.00 s$/);
    expect(said).toHaveLength(2);
  });
});

describe('what the server answers', () => {
  test('429 with Retry-After, 500, then the file', async () => {
    const { isWhole, run, said, server } = await place();
    server.failNext('file', status(429, { 'retry-after': '7' }), status(500));
    await run();
    expect([isWhole(), pauses]).toEqual([true, [7000, 2000]]);
    expect(said[0]).toMatch(/: it answered HTTP 429; trying again in 7\.00 s$/);
  });

  test.each([
    ['403', status(403), /HTTP 403: access is denied/],
    ['404', status(404), /HTTP 404: there is no such file/],
    ['a long pause', status(429, { 'retry-after': '3600' }), /it wants no request for 60 min 0 s \(HTTP 429\)/],
    ['a web page', status(200, { 'content-type': 'text/html; charset=utf-8' }), /it sent a web page, not the file/],
  ])('%s: given up at once', async (_, fault, reason) => {
    const { run, said, server } = await place();
    server.failNext('file', fault);
    await expect(run()).rejects.toThrow(reason);
    expect([said, server.requests.length]).toEqual([[], 1]);
  });

  test('a missing file is told from other failures', async () => {
    const { run, server } = await place();
    await expect(run({ url: `${server.url}/other` })).rejects.toBeInstanceOf(NoSuchFile);
    server.failNext('file', ...Array(9).fill(status(500)));
    await expect(run()).rejects.not.toBeInstanceOf(NoSuchFile);
  });

  test('no server, and a host that is not known', async () => {
    const { run, said } = await place();
    await expect(run({ url: 'http://127.0.0.1:1/x' })).rejects.toThrow(/does not accept connections|bad port/);
    said.length = 0;
    await expect(run({ url: 'http://no.such.host.invalid/x' })).rejects.toThrow(/its host (is not known|cannot)/);
  });
});

test('a signal ends it at once, in the middle and in a pause, and what has come stays', async () => {
  const { controller, path, run, server } = await place();
  server.failNext('file', stallAfter(9000));
  const running = run({ stallMs: 60_000 });
  setTimeout(() => controller.abort(new InterruptedError('SIGINT')), 200);
  await expect(running).rejects.toBeInstanceOf(InterruptedError);
  expect(statSync(path).size).toBe(9000);
  const before = performance.now();
  await expect(run()).rejects.toBeInstanceOf(InterruptedError);
  expect(performance.now() - before).toBeLessThan(1000);
});

test('a link in its place is not followed, and a full disk is the error of the file', async () => {
  const { path, run } = await place();
  symlinkSync('/dev/full', path);
  await expect(run()).rejects.toMatchObject({ code: 'ELOOP', path });
  expect(existsSync(path)).toBe(true);
});

describe('how far it is', () => {
  test('lines, with the size where it is known, and not more often than is told', () => {
    const shown = screen();
    const terminal = new Terminal(shown.out, shown.err, {});
    const progress = progressOf(terminal, 'umoci', 0);
    progress(3_200_000, 15_000_000);
    progress(3_200_000, undefined);
    progress(0, 0);
    expect(shown.stderr()).toBe('umoci: 3.2 MB of 15.0 MB (21 %)\numoci: 3.2 MB\numoci: 0.0 MB\n');
    progressOf(terminal, 'rare')(1, 2);
    expect(shown.stderr()).not.toContain('rare');
  });

  test('at a terminal one line is written over, and is as wide as that', () => {
    const shown = screen(true, 20);
    const terminal = new Terminal(shown.out, shown.err, { TERM: 'xterm', NO_COLOR: '1' });
    const progress = progressOf(terminal, 'umoci', 0);
    progress(1_000_000, 2_000_000);
    terminal.say('done');
    terminal.say('next');
    expect(shown.stderr()).toBe('\r\u001b[Kumoci: 1.0 MB of 2.\r\u001b[Kdone\nnext\n');
  });
});

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
