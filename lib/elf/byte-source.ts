// SPDX-License-Identifier: Apache-2.0

/**
 * Where the ELF reader gets its bytes: a file or a buffer, read by position. Only the ranges that are wanted are read,
 * so a supervisor of 26 MB costs a handful of small reads.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { EXIT, errnoOf, reasonText, TaskError } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';

/** What cannot be read, or is not what an ELF file may be: one line that says what is wrong, and at which offset. */
export class ElfError extends TaskError {
  constructor(message: string) {
    super(message, EXIT.failed);
    this.name = 'ElfError';
  }
}

/** The error for a file that is not all there, or contradicts itself. */
export function damaged(defect: string): ElfError {
  return new ElfError(`${defect}; wanted a complete ELF file: build or copy it again`);
}

/** Bytes that can be read by position. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`.
   * @throws ElfError when the range is not inside the source
   */
  read(offset: number, length: number): Buffer;
}

/** A number as an offset in a message: `0xe8`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function outside(offset: number, length: number, size: number): ElfError {
  return damaged(`${length} bytes at offset ${hex(offset)} are outside the file, which has ${size} bytes`);
}

/** A source over bytes in memory; the bytes are not copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = (offset: number, length: number) => {
    if (offset + length > buffer.length) throw outside(offset, length, buffer.length);
    return buffer.subarray(offset, offset + length);
  };
  return { size: buffer.length, read };
}

/**
 * Opens a regular file, gives `use` a source over it, and closes it again.
 * @returns what `use` returns
 * @throws ElfError when there is no such file, it is not a regular file, or it cannot be read
 */
export function withFileSource<Result>(path: string, use: (source: ByteSource) => Result): Result {
  try {
    // Opening a FIFO without O_NONBLOCK waits for its writer.
    const file = asOwner(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    try {
      return use(fileSource(file));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new ElfError('no such file; build it first, or correct the path');
    throw new ElfError(`cannot be read: ${reasonText(code)}`);
  }
}

function fileSource(file: number): ByteSource {
  const stats = fstatSync(file);
  if (!stats.isFile()) {
    const found = stats.isDirectory() ? 'a directory' : 'a device or a pipe';
    throw new ElfError(`is ${found}, wanted a regular file; name the binary itself`);
  }
  const read = (offset: number, length: number) => {
    if (offset + length > stats.size) throw outside(offset, length, stats.size);
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const got = readSync(file, bytes, done, length - done, offset + done);
      if (got === 0) throw new ElfError(`became shorter than ${offset + length} bytes while it was read`);
      done += got;
    }
    return bytes;
  };
  return { size: stats.size, read };
}
