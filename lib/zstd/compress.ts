// SPDX-License-Identifier: Apache-2.0

/** Compression on several cores: independent frames, as the encoder's own threads break off silently on Node 24.21. */

import { addAbortSignal } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { constants, createZstdCompress } from 'node:zlib';
import { decompress } from './decompress.ts';

export const LEVEL = 19;

/** The content of a frame: a smaller one compresses less, a larger one takes more memory and uses fewer cores. */
const FRAME_BYTES = 8 * 1024 * 1024;

/** Compresses a content, to the same bytes on every machine. @throws the reason of `signal` */
export async function compress(content: Buffer, signal?: AbortSignal, frameBytes = FRAME_BYTES): Promise<Buffer> {
  signal?.throwIfAborted();
  const frames = divide(content, frameBytes).map((piece) => compressFrame(piece, signal));
  const compressed = await Promise.all(frames).catch((error) => {
    signal?.throwIfAborted();
    throw error;
  });
  const whole = Buffer.concat(compressed);
  // What is embedded and shipped is what was verified, whatever the compression did.
  if (!decompress(whole).equals(content)) throw new Error('zstd has not compressed what it was given');
  return whole;
}

/** The content in even pieces: the last core is not left with the whole of a short rest. */
export function divide(content: Buffer, frameBytes: number): Buffer[] {
  const count = Math.max(1, Math.ceil(content.length / frameBytes));
  const border = (index: number) => Math.floor((content.length * index) / count);
  return Array.from({ length: count }, (_, index) => content.subarray(border(index), border(index + 1)));
}

function compressFrame(content: Buffer, signal: AbortSignal | undefined): Promise<Buffer> {
  const frame = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    // The size goes into the frame, and a small frame takes little memory.
    pledgedSrcSize: content.length,
    chunkSize: 1024 * 1024,
  });
  if (signal !== undefined) addAbortSignal(signal, frame);
  return buffer(frame.end(content));
}
