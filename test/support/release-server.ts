// SPDX-License-Identifier: Apache-2.0

/** A server of release files on this machine, with ranges, and with whatever faults a test wants. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** Answers a request in place of the file; the rest of it is the server's when it gives `false`. */
export type Fault = (request: IncomingMessage, response: ServerResponse, file: Buffer) => unknown;

export class ReleaseServer {
  readonly url: string;
  readonly #files = new Map<string, Buffer>();
  readonly #faults = new Map<string, Fault[]>();
  /** The requests: `GET /path bytes=5-`. */
  readonly requests: string[] = [];
  /** Whether it continues files. */
  hasRanges = true;

  private constructor(url: string) {
    this.url = url;
  }

  /** Starts a server that ends with the test. */
  static async start(): Promise<ReleaseServer> {
    const http = createServer((request, response) => server.#answer(request, response));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const server = new ReleaseServer(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    onTestFinished(() => {
      http.closeAllConnections();
      http.close();
    });
    return server;
  }

  /** @param path without the slash at its beginning */
  add(path: string, content: Buffer | string): this {
    this.#files.set(`/${path}`, Buffer.from(content));
    return this;
  }

  /** The next requests of a path meet these faults, one each; then the file is served. */
  failNext(path: string, ...faults: readonly Fault[]): this {
    this.#faults.set(`/${path}`, [...faults]);
    return this;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url ?? '');
    const { range } = request.headers;
    this.requests.push([request.method, path, range].filter((word) => word !== undefined).join(' '));
    const file = this.#files.get(path);
    const fault = this.#faults.get(path)?.shift();
    if (fault !== undefined) fault(request, response, file ?? Buffer.alloc(0));
    else if (file === undefined) response.writeHead(404).end('Not Found');
    else if (range !== undefined && this.hasRanges) serveRange(request, response, file);
    else response.writeHead(200, { etag: tagOf(file), 'content-length': file.length }).end(file);
  }
}

function serveRange({ headers }: IncomingMessage, response: ServerResponse, file: Buffer): void {
  const condition = headers['if-range'];
  const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1]);
  if (condition !== undefined && condition !== tagOf(file)) {
    response.writeHead(200, { etag: tagOf(file), 'content-length': file.length }).end(file);
  } else if (start >= file.length) {
    response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
  } else {
    const range = `bytes ${start}-${file.length - 1}/${file.length}`;
    const own = { etag: tagOf(file), 'content-range': range, 'content-length': file.length - start };
    response.writeHead(206, own).end(file.subarray(start));
  }
}

function tagOf(file: Buffer): string {
  return `"${sha256(file).slice(0, 16)}"`;
}

export function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Sends so many bytes of the file, and breaks the connection off. */
export function breakOffAfter(bytes: number): Fault {
  return (_, response, file) => {
    response.writeHead(200, { etag: tagOf(file), 'content-length': file.length });
    response.write(file.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  };
}

/** Sends so many bytes of the file, and then nothing. */
export function stallAfter(bytes: number): Fault {
  return (_, response, file) => {
    response.writeHead(200, { 'content-length': file.length }).write(file.subarray(0, bytes));
  };
}

/** Answers with a status. */
export function status(code: number, headers: Record<string, string> = {}, body = 'no'): Fault {
  return (_, response) => response.writeHead(code, headers).end(body);
}
