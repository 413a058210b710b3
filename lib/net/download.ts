// SPDX-License-Identifier: Apache-2.0

/**
 * One file over HTTP: continued where it broke off, tried again for what can pass, given up for what cannot. What is
 * written is nobody else's until the caller has verified it.
 */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seconds } from '../cli/terminal.ts';
import { EXIT, named, TaskError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import { networkSetback, type Setback, setbackOf } from './responses.ts';

/** Attempts without a new byte before it is given up where nothing else is said, and attempts in all. */
const ATTEMPTS_MAX = 5;
const ATTEMPTS_IN_ALL = 30;
const PAUSE_MS = 1000;
/** What is downloaded is held in memory, and a server may send without an end. */
const BYTES_MAX = 1024 ** 3;

export interface DownloadRequest {
  readonly url: string;
  /** The file to write; what an earlier run has left there is continued where `isVerified` is set. */
  readonly path: string;
  /** Whether the caller knows what the file has to be, so that a wrong continuation cannot pass. */
  readonly isVerified: boolean;
  /** How long a server may send nothing. */
  readonly stallMs: number;
  /** Attempts without a new byte before it is given up. */
  readonly attempts?: number;
  /** The most bytes that are taken; `BYTES_MAX` where nothing is said. */
  readonly bytesMax?: number;
}

export interface DownloadEffects {
  /** Ends it; what has come stays in the file. */
  readonly signal: AbortSignal;
  /** Called with the bytes so far and in all. */
  update(received: number, total: number | undefined): void;
  /** Says why an attempt failed, and that there is another one. */
  say(text: string): void;
  /** Waits between attempts; tests do not. */
  readonly pause?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** The server has no such file. */
export class NoSuchFile extends TaskError {}

/** The state of a download between its attempts. */
interface Transfer {
  readonly request: DownloadRequest;
  readonly file: number;
  /** How many bytes are in the file. */
  received: number;
  /** What tells whether the file on the server is still the same: a strong ETag, or a date. */
  validator: string | undefined;
}

/** A setback as an error within this module. */
class AttemptFailed extends Error {
  readonly setback: Setback & { readonly status?: number };

  constructor(setback: Setback & { readonly status?: number }) {
    super(setback.reason);
    this.setback = setback;
  }
}

/**
 * Downloads a file.
 * @throws NoSuchFile where the server has none, TaskError (1) with the reason for anything else that fails, the reason
 *   of `signal`, or the system's error for the file
 */
export async function download(request: DownloadRequest, effects: DownloadEffects): Promise<void> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const file = asOwner(dirname(request.path), () => openSync(request.path, flags, 0o600));
  try {
    if (!request.isVerified) ftruncateSync(file);
    const transfer: Transfer = { request, file, received: fstatSync(file).size, validator: undefined };
    await repeat(transfer, effects);
  } finally {
    closeSync(file);
  }
}

async function repeat(transfer: Transfer, effects: DownloadEffects): Promise<void> {
  const { signal, pause = (ms) => sleep(ms, undefined, { signal }) } = effects;
  let fruitless = 0;
  for (let attempt = 1; ; attempt++) {
    const before = transfer.received;
    try {
      await attemptOnce(transfer, effects);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AttemptFailed)) throw error;
      const { pauseMs, passes, reason, status } = error.setback;
      fruitless = transfer.received > before ? 0 : fruitless + 1;
      const isOver = !passes || fruitless >= (transfer.request.attempts ?? ATTEMPTS_MAX) || attempt >= ATTEMPTS_IN_ALL;
      if (isOver) throw givenUp(transfer.request.url, reason, status);
      const wait = pauseMs ?? PAUSE_MS * 2 ** Math.max(0, fruitless - 1);
      effects.say(`${transfer.request.url}: ${reason}; trying again in ${seconds(wait)}`);
      await pause(wait, signal).catch((cause: unknown) => {
        signal.throwIfAborted();
        throw cause;
      });
    }
  }
}

function givenUp(url: string, reason: string, status: number | undefined): TaskError {
  const text = `${url} cannot be downloaded: ${reason}`;
  return status === 404 ? new NoSuchFile(text, EXIT.failed) : new TaskError(text, EXIT.failed);
}

async function attemptOnce(transfer: Transfer, effects: DownloadEffects): Promise<void> {
  const stall = new AbortController();
  const { stallMs } = transfer.request;
  const fail = () => stall.abort(new AttemptFailed({ reason: `no byte came for ${seconds(stallMs)}`, passes: true }));
  const timer = setTimeout(fail, stallMs);
  const signal = AbortSignal.any([effects.signal, stall.signal]);
  try {
    const response = await fetch(transfer.request.url, { headers: headersOf(transfer), signal });
    timer.refresh();
    const total = begin(transfer, response);
    verifySize(transfer, total ?? 0);
    if (total === transfer.received) return;
    for await (const piece of response.body ?? []) {
      timer.refresh();
      verifySize(transfer, transfer.received + piece.length);
      write(transfer, piece);
      effects.update(transfer.received, total);
    }
    if (total === undefined || transfer.received === total) return;
    const reason = `it ended after ${transfer.received} of ${total} bytes`;
    throw new AttemptFailed({ reason, passes: transfer.received < total });
  } catch (error) {
    if (error instanceof AttemptFailed) throw error;
    stall.signal.throwIfAborted();
    const setback = networkSetback(error);
    throw setback === undefined ? error : new AttemptFailed(setback);
  } finally {
    clearTimeout(timer);
  }
}

/** The rest is asked for where it certainly belongs to what has come. */
function headersOf({ received, request, validator }: Transfer): Record<string, string> {
  const plain = { 'accept-encoding': 'identity', 'user-agent': 'openshell-tasks' };
  if (received === 0 || (validator === undefined && !request.isVerified)) return plain;
  const condition = validator === undefined ? {} : { 'if-range': validator };
  return { ...plain, range: `bytes=${received}-`, ...condition };
}

/**
 * Judges the head of a response, and drops what has come before where the response is not its continuation.
 * @returns the size of the whole file, where it is known
 */
function begin(transfer: Transfer, response: Response): number | undefined {
  const { headers, status, url } = response;
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
  const size = range?.[2] === undefined || range[2] === '*' ? undefined : Number(range[2]);
  // There is nothing after what has come: it is all, or it is something else.
  if (status === 416 && size !== undefined && size === transfer.received) return size;
  const isContinued = status === 206 && range?.[1] !== undefined && Number(range[1]) === transfer.received;
  if (!isContinued && (status === 200 || status === 206 || status === 416)) restart(transfer);
  if (status === 416 || (status === 206 && !isContinued)) {
    throw new AttemptFailed({ reason: 'it cannot be continued', passes: true });
  }
  if (transfer.request.url.startsWith('https:') && !url.startsWith('https:')) {
    throw new AttemptFailed({ reason: `it leads to ${url}, which is not encrypted`, passes: false });
  }
  const setback = setbackOf(status, headers, Date.now());
  if (setback !== undefined) throw new AttemptFailed({ ...setback, status });
  const tag = headers.get('etag');
  transfer.validator = tag?.startsWith('"') ? tag : (headers.get('last-modified') ?? undefined);
  if (isContinued) return size;
  const length = headers.get('content-length');
  // Where nothing else tells what the file is, its end has to be told from a connection that broke off.
  if (!transfer.request.isVerified && length === null && !headers.has('transfer-encoding')) {
    throw new AttemptFailed({ reason: 'the server does not say where it ends, so it may be cut off', passes: false });
  }
  return length === null || headers.has('content-encoding') ? undefined : Number(length);
}

function verifySize({ request: { bytesMax = BYTES_MAX } }: Transfer, size: number): void {
  if (size <= bytesMax) return;
  throw new AttemptFailed({
    reason: `it has more than ${bytesMax} bytes, which no file of a release has`,
    passes: false,
  });
}

function restart(transfer: Transfer): void {
  ftruncateSync(transfer.file);
  transfer.received = 0;
}

function write(transfer: Transfer, piece: Uint8Array): void {
  try {
    for (let at = 0; at < piece.length; ) {
      const count = writeSync(transfer.file, piece, at, piece.length - at, transfer.received);
      at += count;
      transfer.received += count;
    }
  } catch (error) {
    throw named(transfer.request.path, error);
  }
}
