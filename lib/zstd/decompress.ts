// SPDX-License-Identifier: Apache-2.0

/** The content of a zstd file, frame by frame, with bounded memory. */

import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createZstdDecompress } from 'node:zlib';
import { readFrames, ZstdError } from './frames.ts';

const PIECE_BYTES = 1024 * 1024;

/**
 * The content in pieces. Checksums that the frames carry are verified.
 * @throws ZstdError for anything that is not a whole, undamaged zstd file
 */
export async function* readContent(path: string): AsyncGenerator<Buffer> {
  for (const { offset, size } of readFrames(path)) {
    const compressed = createReadStream(path, { start: offset, end: offset + size - 1, highWaterMark: PIECE_BYTES });
    const content = createZstdDecompress({ chunkSize: PIECE_BYTES });
    compressed.on('error', (error) => content.destroy(error)).pipe(content);
    try {
      yield* content as AsyncIterable<Buffer>;
    } catch (error) {
      throw new ZstdError(`damaged in the frame at byte ${offset}: ${(error as Error).message}`);
    } finally {
      compressed.destroy();
    }
  }
}

/**
 * How the content of a zstd file differs from another file.
 * @returns what is wrong, in a few words; `undefined` where they are the same
 */
export async function contentDifference(path: string, source: string): Promise<string | undefined> {
  const handle = await open(source);
  try {
    return await difference(readContent(path), handle);
  } catch (error) {
    if (error instanceof ZstdError) return error.message;
    throw error;
  } finally {
    await handle.close();
  }
}

async function difference(content: AsyncIterable<Buffer>, source: FileHandle): Promise<string | undefined> {
  let at = 0;
  for await (const piece of content) {
    const wanted = Buffer.allocUnsafe(piece.length);
    for (let read = 0; read < piece.length; ) {
      const { bytesRead } = await source.read(wanted, read, piece.length - read, at + read);
      if (bytesRead === 0) return 'more content';
      read += bytesRead;
    }
    if (!piece.equals(wanted)) return `other content after byte ${at}`;
    at += piece.length;
  }
  return at === (await source.stat()).size ? undefined : 'less content';
}
