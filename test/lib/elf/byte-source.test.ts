// SPDX-License-Identifier: Apache-2.0
import { truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ByteSource, ElfError, memorySource, withFileSource } from '../../../lib/elf/byte-source.ts';
import { parseElf } from '../../../lib/elf/read.ts';
import { TaskError } from '../../../lib/errors.ts';
import { buildElf, DYNAMIC_RECIPE } from '../../support/elf-builder.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

test('an ElfError is a TaskError that ends with 1', () => {
  const error = new ElfError('is not an ELF file');
  expect(error).toBeInstanceOf(TaskError);
  expect(error.exitCode).toBe(1);
});

test('an error that is not about the file goes on as it is', () => {
  const bug = new TypeError('a bug');
  const fail = () => {
    throw bug;
  };
  expect(() => withFileSource(process.execPath, fail)).toThrow(bug);
});

describe('the file under the reader', () => {
  const image = buildElf({ ...DYNAMIC_RECIPE, payload: 1_000_000 });
  function changing(): string {
    const path = join(temporaryDirectory(), 'changing');
    writeFileSync(path, image.bytes);
    utimesSync(path, 1, 1);
    return path;
  }

  test('one that is cut while it is read', () => {
    const path = changing();
    const cutAndRead = (source: ByteSource) => {
      truncateSync(path, 100);
      return parseElf(source);
    };
    expect(() => withFileSource(path, cutAndRead)).toThrow(ElfError);
  });

  test.each([
    [2 ** 53, 4],
    [60, 5],
  ])('a read of %d, %d is refused by both sources', (offset, length) => {
    const path = join(temporaryDirectory(), 'small');
    const bytes = Buffer.alloc(64);
    writeFileSync(path, bytes);
    expect(() => memorySource(bytes).read(offset, length)).toThrow(ElfError);
    expect(() => withFileSource(path, (source) => source.read(offset, length))).toThrow(ElfError);
    expect(withFileSource(path, (source) => source.read(60, 4))).toHaveLength(4);
  });
});
