// SPDX-License-Identifier: Apache-2.0

/**
 * Where the ELF reader gets its bytes: positioned reads of a file, or a buffer in memory. Only the ranges that are
 * asked for are read, so a supervisor of 26 MB costs a handful of small reads. No read goes past the size that was
 * found when the file was opened, and a file that shrinks or is rewritten meanwhile is an `ElfError`.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { EXIT, TaskError } from '../errors.ts';

/** What cannot be read, or is not what an ELF file may be: one line that says what is wrong, and at which offset. */
export class ElfError extends TaskError {
  constructor(message: string) {
    super(message, EXIT.failed);
    this.name = 'ElfError';
  }
}

/** Bytes that can be read by position. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`.
   * @throws ElfError when the range is not inside the source, or its bytes can no longer be read
   */
  read(offset: number, length: number): Uint8Array;
}

/** A number as an offset in a message: `0xe8`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function requireRange(offset: number, length: number, size: number): void {
  const isCount = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!isCount || offset + length > size) {
    throw new ElfError(`${length} bytes at offset ${hex(offset)} are outside the file, which has ${size} bytes`);
  }
}

/** A source over bytes in memory; the bytes are not copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.byteLength,
    read: (offset, length) => {
      requireRange(offset, length, bytes.byteLength);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/**
 * Opens a regular file, hands a source over it to `use`, and closes it again.
 * @returns what `use` returns
 * @throws ElfError when there is no such file, it is not a regular file, it cannot be read, or it changed meanwhile
 */
export function withFileSource<Result>(path: string, use: (source: ByteSource) => Result): Result {
  requireRegularFile(attempt('cannot be examined', () => statSync(path)));
  // Between the two questions the path may have become a FIFO, and opening one waits for its writer without O_NONBLOCK.
  const descriptor = attempt('cannot be opened', () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const before = attempt('cannot be examined', () => fstatSync(descriptor));
    requireRegularFile(before);
    const result = use(fileSource(descriptor, before.size));
    const after = attempt('cannot be examined', () => fstatSync(descriptor));
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
      throw new ElfError('was changed while it was read; wait for what writes it, then run this again');
    }
    return result;
  } finally {
    attempt('cannot be closed', () => closeSync(descriptor));
  }
}

function fileSource(descriptor: number, size: number): ByteSource {
  return {
    size,
    read: (offset, length) => {
      requireRange(offset, length, size);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const got = attempt(`cannot be read at offset ${hex(offset + done)}`, () =>
          readSync(descriptor, bytes, done, length - done, offset + done),
        );
        if (got === 0) throw new ElfError(`became shorter than ${offset + length} bytes while it was read`);
        done += got;
      }
      return bytes;
    },
  };
}

/** Runs one file system call; what it throws becomes an `ElfError` that says what could not be done, and why. */
function attempt<Result>(what: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw new ElfError(callFailure(what, error));
  }
}

function callFailure(what: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file; build it first, or correct the path';
  if (code === 'EACCES') return `${what}: permission denied; make it readable for this user`;
  if (code === 'ERR_INVALID_ARG_VALUE') return 'no such file: the path holds a NUL character; correct the path';
  // Node's own message goes on with the call and the path, which the reader knows: `EIO: i/o error, read`.
  return `${what}: ${error instanceof Error ? error.message.split(', ', 1)[0] : String(error)}`;
}

function requireRegularFile(stats: Stats): void {
  if (!stats.isFile()) throw new ElfError(`is ${fileKind(stats)}, wanted a regular file; name the binary itself`);
}

function fileKind(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}
