// SPDX-License-Identifier: Apache-2.0

/**
 * The bytes of an ELF file, its header and its two tables, which have to be in it with all that they name: 64-bit and
 * little-endian, as what ships is. Source: System V gABI (chapters 4 and 5).
 */

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf, reasonText } from '../errors.ts';
import { asOwner } from '../fs/ownership.ts';
import type { Arch } from '../host.ts';

/** What cannot be read, or is not what an ELF file may be; its message goes after the path. */
export class ElfError extends Error {}

/** The error for a file that is not all there, or contradicts itself. */
export function damaged(defect: string): ElfError {
  return new ElfError(`${defect}; wanted a complete ELF file: build or copy it again`);
}

/** An offset in a message: `0xe8`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** Bytes that are read by position: of a supervisor of 26 MB a handful of small ranges. */
export interface ByteSource {
  readonly size: number;
  /** Exactly these bytes. @throws ElfError where they are not all inside */
  read(offset: number, length: number): Buffer;
}

function sourceOf(size: number, bytesAt: ByteSource['read']): ByteSource {
  const read = (offset: number, length: number) => {
    const bytes = offset + length <= size ? bytesAt(offset, length) : undefined;
    if (bytes?.length === length) return bytes;
    throw damaged(`${length} bytes at offset ${hex(offset)} are outside the file, which has ${size} bytes`);
  };
  return { size, read };
}

/** A source over bytes in memory, which are not copied. */
export function memorySource(bytes: Uint8Array): ByteSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return sourceOf(buffer.length, (offset, length) => buffer.subarray(offset, offset + length));
}

/** Opens a regular file and gives `use` a source over it. @throws ElfError where it cannot be read */
export function withFileSource<Result>(path: string, use: (source: ByteSource) => Result): Result {
  let file: number | undefined;
  try {
    // Opening a FIFO without O_NONBLOCK waits for its writer.
    file = asOwner(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    return use(fileSource(file));
  } catch (error) {
    const code = errnoOf(error);
    throw code === undefined ? error : new ElfError(`cannot be read: ${reasonText(code)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function fileSource(file: number): ByteSource {
  const stats = fstatSync(file);
  if (!stats.isFile()) throw new ElfError('is not a regular file; name the binary itself');
  return sourceOf(stats.size, (offset, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
  });
}

export const ET = { exec: 2, dyn: 3 } as const;
export const PT = { null: 0, load: 1, dynamic: 2, interp: 3 } as const;
export const SHT = { null: 0, dynamic: 6, nobits: 8 } as const;
const HEADER_BYTES = 64;

/** The tables: the fields of the header that say where each is and how large. */
const SEGMENTS = { name: 'program header', bytes: 56, offset: 32, entrySize: 54, count: 56 } as const;
const SECTIONS = { name: 'section header', bytes: 64, offset: 40, entrySize: 58, count: 60 } as const;

/** The names of the machines that a binary is shipped for. */
export const MACHINE_NAMES: Readonly<Record<Arch, string>> = { amd64: 'x86-64', arm64: 'aarch64' };
const MACHINES: Readonly<Record<number, string>> = { 62: MACHINE_NAMES.amd64, 183: MACHINE_NAMES.arm64 };

/** What a section header says (Elf64_Shdr). */
interface Section {
  readonly type: number;
  readonly offset: bigint;
  readonly fileSize: bigint;
}

/** What a program header says (Elf64_Phdr). */
export interface Segment extends Section {
  readonly address: bigint;
}

/** @throws ElfError when it is not an ELF file, is one that cannot ship (32-bit, say), or something is not all there */
export function readHeaders(source: ByteSource) {
  const start = source.read(0, Math.min(HEADER_BYTES, source.size));
  if (start.toString('latin1', 0, 4) !== '\x7fELF') {
    const found = source.size === 0 ? 'is empty' : `begins with the bytes ${start.toString('hex', 0, 8)}`;
    throw new ElfError(`is not an ELF file: it ${found}; wanted a Linux binary`);
  }
  const header = source.read(0, HEADER_BYTES);
  if (header.readUInt8(4) !== 2 || header.readUInt8(5) !== 1) {
    throw new ElfError('is not a 64-bit little-endian ELF file; build it for amd64 or arm64');
  }
  const machine = header.readUInt16LE(18);
  return {
    type: header.readUInt16LE(16),
    /** `x86-64`, `aarch64`, or `machine 1234`. */
    machine: MACHINES[machine] ?? `machine ${machine}`,
    segments: readTable(source, header, SEGMENTS, (bytes) => ({
      type: bytes.readUInt32LE(0),
      offset: bytes.readBigUInt64LE(8),
      address: bytes.readBigUInt64LE(16),
      fileSize: bytes.readBigUInt64LE(32),
    })),
    /** Empty in a file that was stripped of its section headers. */
    sections: readTable(source, header, SECTIONS, (bytes) => ({
      type: bytes.readUInt32LE(4),
      offset: bytes.readBigUInt64LE(24),
      fileSize: bytes.readBigUInt64LE(32),
    })),
  };
}

/** The records of a table, all of which and what they name have to be in the file. */
function readTable<Entry extends Section>(
  source: ByteSource,
  header: Buffer,
  table: typeof SEGMENTS | typeof SECTIONS,
  decode: (bytes: Buffer) => Entry,
): Entry[] {
  const [start, count] = [header.readBigUInt64LE(table.offset), header.readUInt16LE(table.count)];
  if (count === 0) return [];
  const where = `${table.name} table at offset ${hex(start)}`;
  const entrySize = header.readUInt16LE(table.entrySize);
  if (entrySize !== table.bytes) throw damaged(`${where}: its entries have ${entrySize} bytes, wanted ${table.bytes}`);
  if (start < HEADER_BYTES) throw damaged(`${where}: it would begin inside the ELF header`);
  const bytes = source.read(Number(start), count * table.bytes);
  return Array.from({ length: count }, (_, index) => {
    const entry = decode(bytes.subarray(index * table.bytes));
    const { type, offset, fileSize } = entry;
    // Other types have no bytes in the file; of segments none has the number of `nobits`.
    const isInFile = type !== PT.null && type !== SHT.nobits && fileSize > 0n;
    if (!isInFile || offset + fileSize <= source.size) return entry;
    throw damaged(`${table.name} ${index} ends at ${hex(offset + fileSize)} but the file has ${source.size} bytes`);
  });
}
