// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { contentDefect, decompress, readContent, ZstdError } from '../../../lib/zstd/decompress.ts';
import { compressTo } from '../../support/compress-to.ts';
import { requireTools } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const FRAME_BYTES = 64;
/** Node's buffer for output in `decompress`: frames that fill it to the last byte take another way through Node. */
const CHUNK_BYTES = 1024 * 1024;
const SKIPPABLE = Buffer.from('5f2a4d1803000000616263', 'hex');

let directory = '';
let path = '';
let source = '';
beforeEach(() => {
  directory = temporaryDirectory('zstd');
  path = join(directory, 'file.zst');
  source = join(directory, 'file');
});

function frame(content: Uint8Array, hasChecksum = true): Buffer {
  return zstdCompressSync(content, { params: { [constants.ZSTD_c_checksumFlag]: hasChecksum ? 1 : 0 } });
}

/** What is wrong with a file, in a few words. */
function zstdDefect(file: string): string | undefined {
  try {
    readContent(file);
    return undefined;
  } catch (error) {
    if (error instanceof ZstdError) return error.message;
    throw error;
  }
}

describe('the frames of a file', () => {
  const texts = [Buffer.from('one '.repeat(50)), randomBytes(300_000)] as const;
  const [one, other] = [frame(texts[0], false), frame(texts[1])];

  test.each([
    ['one frame', one, texts[0]],
    ['two frames', Buffer.concat([one, other]), Buffer.concat(texts)],
    ['skippable frames around', Buffer.concat([SKIPPABLE, one, SKIPPABLE, other, SKIPPABLE]), Buffer.concat(texts)],
    ['a run', frame(Buffer.alloc(500_000)), Buffer.alloc(500_000)],
  ])('%s', (_, bytes, content) => {
    writeFileSync(path, bytes);
    expect(zstdDefect(path)).toBeUndefined();
    expect(readContent(path).equals(content)).toBe(true);
  });

  test('any contents in a row, sizes around the output buffer included', () => {
    const size = fc.oneof(
      fc.nat(1000),
      fc
        .tuple(fc.constantFrom(1, 2), fc.integer({ min: -1, max: 1 }))
        .map(([times, more]) => times * CHUNK_BYTES + more),
    );
    const part = fc.oneof(
      fc.tuple(size, fc.nat(255), fc.boolean()).map(([length, byte, hasChecksum]) => {
        const content = Buffer.alloc(length, byte);
        return { content, bytes: frame(content, hasChecksum) };
      }),
      fc.constant({ content: Buffer.alloc(0), bytes: SKIPPABLE }),
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const content = decompress(Buffer.concat(parts.map(({ bytes }) => bytes)));
        expect(content.equals(Buffer.concat(parts.map((each) => each.content)))).toBe(true);
      }),
    );
  });

  test.each([
    ['empty', Buffer.alloc(0), 'empty'],
    ['junk', Buffer.from('#!/bin/sh\n'), 'not zstd at byte 0'],
    ['junk after a frame', Buffer.concat([one, Buffer.from('junk')]), `not zstd at byte ${one.length}`],
    ['a damaged block', Buffer.from('28b52ffd0000ffffff', 'hex'), 'damaged in the frame at byte 0: Data corruption'],
    [
      'a wrong checksum',
      Buffer.concat([one, other.subarray(0, -1), Buffer.from([(other.at(-1) ?? 0) ^ 1])]),
      `damaged in the frame at byte ${one.length}: Restored data doesn't match checksum`,
    ],
  ])('%s', (_, bytes, defect) => {
    writeFileSync(path, bytes);
    expect(zstdDefect(path)).toContain(defect);
  });

  test('cut off anywhere but between frames', () => {
    const whole = Buffer.concat([one, SKIPPABLE, one]);
    const between = [one.length, one.length + SKIPPABLE.length];
    for (let length = 1; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      expect(zstdDefect(path), String(length)).toBe(between.includes(length) ? undefined : 'cut off');
    }
  });

  test('cut off or damaged after a frame that fills the output buffer', () => {
    const full = frame(Buffer.alloc(CHUNK_BYTES, 'ab'));
    for (let length = 1; length < full.length; length++) {
      expect(() => decompress(Buffer.concat([full, full.subarray(0, length)]))).toThrow(ZstdError);
    }
    expect(() => decompress(Buffer.concat([full, Buffer.from('junk')]))).toThrow(ZstdError);
  });

  test('no file, a directory, a FIFO; a link is followed', () => {
    expect(zstdDefect(path)).toBe('not there');
    expect(zstdDefect(join(source, 'x'))).toBe('not there');
    expect(zstdDefect(directory)).toBe('not a regular file');
    writeFileSync(source, one);
    symlinkSync(source, join(directory, 'link'));
    expect(zstdDefect(join(directory, 'link'))).toBeUndefined();
    expect(zstdDefect(join(source, 'x'))).toBe('not there');
    if (spawnSync('mkfifo', [path]).status === 0) expect(zstdDefect(path)).toBe('not a regular file');
  });
});

describe('a content that is not that of the source', () => {
  const content = randomBytes(FRAME_BYTES * 3 + 7);
  const pieces = [content.subarray(0, 70), content.subarray(70, 100), content.subarray(100)];
  beforeEach(async () => {
    writeFileSync(source, content);
    await compressTo(source, path, undefined, FRAME_BYTES);
  });

  test.each([
    ['more', Buffer.concat([content, Buffer.from('x')]), 'other content'],
    ['less', content.subarray(0, -1), 'other content'],
    ['nothing', Buffer.alloc(0), 'other content'],
    [
      'another byte at the end',
      Buffer.concat([content.subarray(0, -1), Buffer.from([(content.at(-1) ?? 0) ^ 1])]),
      'other content',
    ],
  ])('the source has %s', (_, bytes, defect) => {
    writeFileSync(source, bytes);
    expect(contentDefect(path, source)).toBe(defect);
  });

  test('a flipped bit anywhere is found', () => {
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8((damaged[at] ?? 0) ^ 0b1000, at);
      writeFileSync(path, damaged);
      expect(contentDefect(path, source), `byte ${at}`).toBeDefined();
    }
  });

  test('a frame that is missing is found, the last one too', () => {
    const frames = pieces.map((piece) => frame(piece));
    writeFileSync(path, Buffer.concat(frames));
    expect(contentDefect(path, source)).toBeUndefined();
    for (const missing of frames) {
      writeFileSync(path, Buffer.concat(frames.filter((each) => each !== missing)));
      expect(contentDefect(path, source)).toMatch(/^(other content|empty)$/);
    }
  });

  test('a missing source is an error, not a defect', () => {
    expect(() => contentDefect(path, join(directory, 'none'))).toThrow('ENOENT');
  });
});

const zstd = requireTools('zstd');
describe('the zstd program', zstd.options, () => {
  test.each(['-1', '-19 -T0', '--no-check', '--long=27 -3', '--no-content-size', '--ultra -22'])(
    'its own files are read: zstd %s',
    (options) => {
      const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(2_000_000, 'text '), randomBytes(10)]);
      writeFileSync(source, content);
      const args = [...options.split(' '), '-q', '-c', source];
      const frame = execFileSync(zstd.path('zstd'), args, { maxBuffer: 10_000_000 });
      writeFileSync(path, frame);
      expect(zstdDefect(path)).toBeUndefined();
      expect(contentDefect(path, source)).toBeUndefined();
      // Two files in one, as zstd allows: Node alone would read the first and say nothing of the second.
      appendFileSync(path, frame);
      expect(contentDefect(path, source)).toBe('other content');
      writeFileSync(source, Buffer.concat([content, content]));
      expect(contentDefect(path, source)).toBeUndefined();
    },
  );
});
