// SPDX-License-Identifier: Apache-2.0

/** A tar archive that is the same whoever makes it, and wherever: sorted, of root, with modes and a time that are told. */

import { Header } from 'tar';

const BLOCK_BYTES = 512;
/** The end of an archive: at least two blocks of zeros, and GNU tar fills a record of twenty. */
const RECORD_BYTES = 20 * BLOCK_BYTES;

export interface ArchiveFile {
  /** Relative, of at most 100 bytes. */
  readonly path: string;
  readonly content: Buffer;
  /** The permission bits. */
  readonly mode: number;
}

/**
 * Packs files.
 * @param time that all of them bear, in seconds since 1970
 */
export function writeArchive(files: readonly ArchiveFile[], time: number): Buffer {
  const sorted = [...files].sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)));
  const blocks = sorted.flatMap(({ content, mode, path }) => [
    headerOf({ content, mode, path }, time),
    content,
    zeros(content.length, BLOCK_BYTES),
  ]);
  const size = blocks.reduce((sum, { length }) => sum + length, 0) + 2 * BLOCK_BYTES;
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES), zeros(size, RECORD_BYTES)]);
}

function headerOf({ content, mode, path }: ArchiveFile, time: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const mtime = new Date(time * 1000);
  const header = new Header({ path, mode, uid: 0, gid: 0, size: content.length, mtime, type: 'File' });
  if (header.encode(block)) throw new RangeError(`${path} does not fit the header of a tar archive`);
  return block;
}

/** What is missing up to a multiple of `unit`. */
function zeros(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}
