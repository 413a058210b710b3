// SPDX-License-Identifier: Apache-2.0

/**
 * Compression on all cores: a file becomes independent frames, each compressed by one call in the
 * thread pool. Every zstd decoder reads the frames as one content.
 *
 * The encoder's own threads (`ZSTD_c_nbWorkers`) are not used: on Node 24.21 streams with them
 * break off, and the asynchronous call returns nothing, without an error.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';

export const LEVEL = 19;

/**
 * The content of a frame. A smaller one compresses less (at level 19 the program's own output is
 * smaller by 4 % at 8 MiB, 7 % at 4 MiB, 2 % at 16 MiB), a larger one takes more memory, and uses
 * fewer cores.
 */
const FRAME_BYTES = 8 * 1024 * 1024;
/** How many finished frames may wait for an earlier one, for each worker. */
const WAITING_MAX = 2;
/** Threads of Node's pool unless UV_THREADPOOL_SIZE says otherwise. */
const POOL_DEFAULT = 4;

const compress = promisify(zstdCompress);

/** Where and how much of a file a frame takes. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
}

/** Even pieces of a file of this size: the last core is not left with the whole of a short rest. */
export function planPieces(size: number, frameBytes: number = FRAME_BYTES): Piece[] {
  const count = Math.max(1, Math.ceil(size / frameBytes));
  const borders = Array.from({ length: count + 1 }, (_, index) => Math.floor((size * index) / count));
  return borders.slice(1).map((end, index) => ({ offset: borders[index] ?? 0, length: end - (borders[index] ?? 0) }));
}

export interface CompressOptions {
  /** Ends it: no further frame is begun, and those that are being compressed are not waited for. */
  readonly signal?: AbortSignal;
  readonly workers?: number;
  readonly frameBytes?: number;
}

/**
 * Compresses a file into a new file, with a checksum in each frame.
 *
 * @param destination must not exist yet
 * @throws the system's error, or the reason of `signal`; the destination is then not whole
 */
export async function compressFile(source: string, destination: string, options: CompressOptions = {}): Promise<void> {
  const workers = options.workers ?? availableParallelism();
  widenPool(workers);
  const input = await open(source);
  try {
    const output = await open(destination, 'wx');
    try {
      const pieces = planPieces((await input.stat()).size, options.frameBytes);
      await compressPieces(input, output, pieces, workers, options.signal);
    } finally {
      await output.close();
    }
  } finally {
    await input.close();
  }
}

async function compressPieces(
  input: FileHandle,
  output: FileHandle,
  pieces: readonly Piece[],
  workers: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const frames = new FramesInOrder(output);
  // Buffers are used again: garbage outside of the heap is collected late.
  const buffers: Buffer[] = [];
  const size = Math.max(...pieces.map(({ length }) => length));
  const work = async (piece: Piece, index: number) => {
    const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(size);
    await readFully(input, buffer, piece);
    frames.add(index, await compressFrame(buffer.subarray(0, piece.length)));
    buffers.push(buffer);
  };
  const settle = async () => {
    await Promise.race([aborted, ...running]);
    signal?.throwIfAborted();
    if (failures.length > 0) throw failures[0];
    await frames.write();
  };
  signal?.throwIfAborted();
  for (const [index, piece] of pieces.entries()) {
    while (running.size >= workers || index - frames.written >= workers * WAITING_MAX) await settle();
    const task = work(piece, index)
      .catch((error) => void failures.push(error))
      .finally(() => running.delete(task));
    running.add(task);
  }
  while (running.size > 0) await settle();
  await frames.write();
}

/** Frames are finished in any order, and written in that of the content. */
class FramesInOrder {
  readonly #output: FileHandle;
  readonly #finished = new Map<number, Buffer>();
  /** How many are in the file. */
  written = 0;

  constructor(output: FileHandle) {
    this.#output = output;
  }

  add(index: number, frame: Buffer): void {
    this.#finished.set(index, frame);
  }

  /** Writes those whose turn it is. */
  async write(): Promise<void> {
    for (let frame = this.#finished.get(this.written); frame !== undefined; frame = this.#finished.get(this.written)) {
      this.#finished.delete(this.written);
      await this.#output.appendFile(frame);
      this.written += 1;
    }
  }
}

function compressFrame(content: Buffer): Promise<Buffer> {
  return compress(content, {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    // The size goes into the frame, and a small frame takes little memory.
    pledgedSrcSize: content.length,
    chunkSize: 1024 * 1024,
  });
}

async function readFully(input: FileHandle, buffer: Buffer, { offset, length }: Piece): Promise<void> {
  for (let read = 0; read < length; ) {
    const { bytesRead } = await input.read(buffer, read, length - read, offset + read);
    if (bytesRead === 0) throw new Error('the file became shorter while it was compressed');
    read += bytesRead;
  }
}

/** A pool that has not been used yet takes its size from the environment; one that has keeps its own. */
function widenPool(workers: number): void {
  if (workers > POOL_DEFAULT) process.env.UV_THREADPOOL_SIZE ??= String(workers);
}
