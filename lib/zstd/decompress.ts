// SPDX-License-Identifier: Apache-2.0

/** The content of a zstd file. It is held in memory: a bundle's has 26 MB. */

import { statSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';
import { errnoOf } from '../errors.ts';
import { contentOf } from '../fs/paths.ts';

/** What is wrong with a zstd file, in a few words. */
export class ZstdError extends Error {}

/** The content of all frames. @throws ZstdError for anything that is not a whole, undamaged zstd file */
export function decompress(compressed: Uint8Array): Buffer {
  if (compressed.length === 0) throw new ZstdError('empty');
  const contents: Buffer[] = [];
  // Node stops after a frame and drops the rest without an error (seen on 24.21), so each call begins after it.
  for (let offset = 0; offset < compressed.length; ) {
    const { buffer, engine } = decompressFrame(compressed.subarray(offset), offset);
    contents.push(buffer);
    offset += engine.bytesWritten;
  }
  return Buffer.concat(contents);
}

/** The content of the frame at the beginning, empty for a skippable one, and the bytes that it takes. */
function decompressFrame(compressed: Uint8Array, offset: number) {
  try {
    const result: unknown = zstdDecompressSync(compressed, { info: true, chunkSize: 1024 * 1024 });
    return result as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'Z_BUF_ERROR') throw new ZstdError('cut off');
    if (code === 'ZSTD_error_prefix_unknown') throw new ZstdError(`not zstd at byte ${offset}`);
    throw new ZstdError(`damaged in the frame at byte ${offset}: ${message}`);
  }
}

/** The content of a file. @throws ZstdError where it is not a whole, undamaged zstd file that can be read */
export function readContent(path: string): Buffer {
  try {
    if (!statSync(path).isFile()) throw new ZstdError('not a regular file');
    return decompress(contentOf(path));
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    throw new ZstdError(code === 'ENOENT' || code === 'ENOTDIR' ? 'not there' : `not readable (${code})`);
  }
}

/** Why the content of a zstd file is not that of another file, in a few words; `undefined` where it is. */
export function contentDefect(path: string, source: string): string | undefined {
  const wanted = contentOf(source);
  try {
    return readContent(path).equals(wanted) ? undefined : 'other content';
  } catch (error) {
    if (error instanceof ZstdError) return error.message;
    throw error;
  }
}
