// SPDX-License-Identifier: Apache-2.0

/**
 * Where the ELF reader gets its bytes: a file or a buffer, read by position. Only the ranges that are wanted are read,
 * so a supervisor of 26 MB costs a handful of small reads. No read goes past the size that was found when the file was
 * opened, and a file that shrinks or is rewritten while it is read is an `ElfError`.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { EXIT, errnoOf, TaskError } from '../errors.ts';
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
   * @throws ElfError when the range is not inside the source, or its bytes can no longer be read
   */
  read(offset: number, length: number): Buffer;
}

/** A number as an offset in a message: `0xe8`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** A source of `size` bytes over a function that reads inside them. */
function sourceOf(size: number, read: ByteSource['read']): ByteSource {
  return {
    size,
    read: (offset, length) => {
      const isCount = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
      if (isCount && offset + length <= size) return read(offset, length);
      throw damaged(`${length} bytes at offset ${hex(offset)} are outside the file, which has ${size} bytes`);
    },
  };
}

/** A source over bytes in memory; the bytes are not copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return sourceOf(buffer.length, (offset, length) => buffer.subarray(offset, offset + length));
}

/**
 * Opens a regular file, gives `use` a source over it, and closes it again.
 * @returns what `use` returns
 * @throws ElfError when there is no such file, it is not a regular file, it cannot be read, or it changed while it was
 */
export function withFileSource<Result>(path: string, use: (source: ByteSource) => Result): Result {
  if (path.includes('\0')) throw new ElfError('no such file: the path holds a NUL character; correct the path');
  try {
    requireRegularFile(statSync(path));
    // The path may be a FIFO by now, and opening one without O_NONBLOCK waits for its writer.
    const descriptor = asOwner(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    try {
      return useUnchanged(descriptor, use);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw systemFailure(error) ?? error;
  }
}

function useUnchanged<Result>(descriptor: number, use: (source: ByteSource) => Result): Result {
  const before = fstatSync(descriptor);
  requireRegularFile(before);
  const result = use(sourceOf(before.size, (offset, length) => readFully(descriptor, offset, length)));
  const after = fstatSync(descriptor);
  if (after.size === before.size && after.mtimeMs === before.mtimeMs) return result;
  throw new ElfError('was changed while it was read; wait for what writes it, then run this again');
}

function readFully(descriptor: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const got = readSync(descriptor, bytes, done, length - done, offset + done);
    if (got === 0) throw new ElfError(`became shorter than ${offset + length} bytes while it was read`);
    done += got;
  }
  return bytes;
}

/** What the file system refused, as an `ElfError`; `undefined` for any other error. */
function systemFailure(error: unknown): ElfError | undefined {
  const code = errnoOf(error);
  if (code === undefined) return undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new ElfError('no such file; build it first, or correct the path');
  if (code === 'EACCES')
    return new ElfError('cannot be read: permission denied; this user needs permission to read it');
  // Node's own message goes on with the call and the path, which the user knows: `EIO: i/o error, read`.
  return new ElfError(`cannot be read: ${(error as Error).message.split(', ', 1)[0]}`);
}

function requireRegularFile(stats: Stats): void {
  if (stats.isFile()) return;
  const kinds = [stats.isDirectory() && 'a directory', stats.isFIFO() && 'a FIFO', stats.isSocket() && 'a socket'];
  throw new ElfError(`is ${kinds.find(Boolean) || 'a device'}, wanted a regular file; name the binary itself`);
}
