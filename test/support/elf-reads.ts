// SPDX-License-Identifier: Apache-2.0

/** Reading ELF images in tests: what the reader says against them, and how much it reads. */
import { expect } from 'vitest';
import { type ByteSource, ElfError, memorySource } from '../../lib/elf/headers.ts';
import { type ElfFile, parseElf } from '../../lib/elf/read.ts';
import type { Image } from './elf-builder.ts';

export function parse(bytes: Uint8Array): ElfFile {
  return parseElf(memorySource(bytes));
}

/** The message of the `ElfError` against these bytes; `undefined` when they are read without one. */
export function complaint(source: ByteSource | Uint8Array): string | undefined {
  try {
    parseElf(source instanceof Uint8Array ? memorySource(source) : source);
    return undefined;
  } catch (error) {
    if (error instanceof ElfError) return error.message;
    throw error;
  }
}

/** One wrong field, or as few as can be: the case, an image that is right without them, and a part of the message. */
export type DamageRow = [string, Image, Record<string, number | bigint>, string];

/** Expects that the image is right as it is, and is damaged with the changes. */
export function expectDamage(image: Image, changes: Record<string, number | bigint>, message: string): void {
  expect(complaint(image.bytes)).toBeUndefined();
  expect(complaint(image.with(changes))).toContain(message);
  expect(complaint(image.with(changes))).toMatch(/; wanted a complete ELF file: build or copy it again$/);
}

/** A source that counts, so that a bound on work does not depend on how busy the machine is. */
export function counting(bytes: Uint8Array): ByteSource & { reads: number; bytesRead: number } {
  const inner = memorySource(bytes);
  const source = {
    size: inner.size,
    reads: 0,
    bytesRead: 0,
    read: (offset: number, length: number) => {
      source.reads += 1;
      source.bytesRead += length;
      return inner.read(offset, length);
    },
  };
  return source;
}
