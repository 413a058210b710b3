// SPDX-License-Identifier: Apache-2.0

/**
 * The frames of a zstd file (RFC 8878), found by their block headers without decompressing anything.
 *
 * Node's decompressors need this: they stop after the first frame and drop the rest without a word (seen on 24.21), so
 * each frame is given to them alone. It also finds a file that was cut off.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

const FRAME_MAGIC = 0xfd2fb528;
/** The lowest of 16 magic numbers of frames that hold no content. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const HEADER_MAX_BYTES = 18;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;

/** A frame's place in its file, in bytes. */
export interface Frame {
  readonly offset: number;
  readonly size: number;
}

/** What is wrong with a zstd file, in a few words. */
export class ZstdError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ZstdError';
  }
}

/** What is wrong with the structure of a zstd file; `undefined` for a whole one with content. */
export function zstdDefect(path: string): string | undefined {
  try {
    return readFrames(path).length > 0 ? undefined : 'no content';
  } catch (error) {
    if (error instanceof ZstdError) return error.message;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'not there';
    if ((error as NodeJS.ErrnoException).syscall !== undefined) return `not readable (${code})`;
    throw error;
  }
}

/**
 * The frames with content, in their order; they and the skippable ones cover the whole file.
 * @throws ZstdError for anything that is not a whole zstd file, else the system's error
 */
export function readFrames(path: string): Frame[] {
  // A FIFO would wait for its writer.
  const handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(handle);
    if (!stats.isFile()) throw new ZstdError('not a file');
    if (stats.size === 0) throw new ZstdError('empty');
    const frames: Frame[] = [];
    for (let offset = 0; offset < stats.size; ) {
      const { end, hasContent } = frameEnd((length, at) => readUpTo(handle, length, at), offset);
      if (end > stats.size) throw new ZstdError('cut off');
      if (hasContent) frames.push({ offset, size: end - offset });
      offset = end;
    }
    return frames;
  } finally {
    closeSync(handle);
  }
}

type Read = (length: number, offset: number) => Buffer;

/** Where the frame at `offset` ends. */
function frameEnd(read: Read, offset: number): { end: number; hasContent: boolean } {
  const head = read(HEADER_MAX_BYTES, offset);
  need(head, 4);
  const magic = head.readUInt32LE(0);
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    need(head, 8);
    return { end: offset + 8 + head.readUInt32LE(4), hasContent: false };
  }
  if (magic !== FRAME_MAGIC) throw new ZstdError(`not zstd at byte ${offset}`);
  need(head, 5);
  const descriptor = head.readUInt8(4);
  const blocksEnd = lastBlockEnd(read, offset + 5 + headerRest(descriptor));
  return { end: blocksEnd + ((descriptor & 0b100) === 0 ? 0 : CHECKSUM_BYTES), hasContent: true };
}

/** The length of what follows a frame's descriptor: window, dictionary and content size. */
function headerRest(descriptor: number): number {
  const isSingleSegment = (descriptor & 0b10_0000) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 0b11] ?? 0;
  const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return (isSingleSegment ? 0 : 1) + dictionary + contentSize;
}

function lastBlockEnd(read: Read, first: number): number {
  for (let offset = first; ; ) {
    const bytes = read(BLOCK_HEADER_BYTES, offset);
    need(bytes, BLOCK_HEADER_BYTES);
    const header = bytes.readUIntLE(0, BLOCK_HEADER_BYTES);
    const kind = (header >> 1) & 0b11;
    if (kind === 3) throw new ZstdError(`a damaged block at byte ${offset}`);
    // A run has its one byte in the file, whatever its length.
    offset += BLOCK_HEADER_BYTES + (kind === 1 ? 1 : header >> 3);
    if ((header & 1) === 1) return offset;
  }
}

function need(bytes: Buffer, length: number): void {
  if (bytes.length < length) throw new ZstdError('cut off');
}

function readUpTo(handle: number, length: number, offset: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(handle, bytes, 0, length, offset));
}
