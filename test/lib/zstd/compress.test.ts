// SPDX-License-Identifier: Apache-2.0

import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { compressFile, planPieces } from '../../../lib/zstd/compress.ts';
import { contentDifference, readContent } from '../../../lib/zstd/decompress.ts';
import { readFrames, zstdDefect } from '../../../lib/zstd/frames.ts';
import { requireTools } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const SKIPPABLE = Buffer.from('5f2a4d1803000000616263', 'hex');
const FRAME_BYTES = 64;

let directory = '';
let path = '';
let source = '';
beforeEach(() => {
  directory = temporaryDirectory('zstd');
  path = join(directory, 'file.zst');
  source = join(directory, 'file');
});

async function contentOf(file: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readContent(file)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Compresses a content in small frames. */
async function compressContent(content: Uint8Array, workers?: number): Promise<void> {
  rmSync(path, { force: true });
  writeFileSync(source, content);
  await compressFile(source, path, { frameBytes: FRAME_BYTES, ...(workers === undefined ? {} : { workers }) });
}

/** Contents whose sizes are at and around the borders of frames. */
const aContent = fc.oneof(
  fc.uint8Array({ maxLength: 5 * FRAME_BYTES }),
  fc
    .tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: -1, max: 1 }), fc.integer({ min: 0, max: 255 }))
    .map(([frames, more, byte]) => new Uint8Array(Math.max(0, frames * FRAME_BYTES + more)).fill(byte)),
);

describe('pieces', () => {
  test('are even, cover the file in order, and none is larger than allowed', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 10_000 }), (size, most) => {
        const pieces = planPieces(size, most);
        let end = 0;
        for (const { offset, length } of pieces) {
          if (offset !== end || length > most || Math.abs(length - size / pieces.length) >= 1) return false;
          end += length;
        }
        expect(end).toBe(size);
        return pieces.length === Math.max(1, Math.ceil(size / most));
      }),
    );
  });
});

describe('compression', () => {
  test('any content comes back, from as many frames as planned, whatever the number of workers', async () => {
    await fc.assert(
      fc.asyncProperty(aContent, fc.integer({ min: 1, max: 5 }), async (content, workers) => {
        await compressContent(content, workers);
        expect(await contentDifference(path, source)).toBeUndefined();
        expect(await contentOf(path)).toEqual(Buffer.from(content));
        expect(readFrames(path)).toHaveLength(planPieces(content.length, FRAME_BYTES).length);
      }),
      { numRuns: 150 },
    );
  });

  test('the frames are in order although they are finished in another', async () => {
    // The first frame takes by far the longest.
    const content = Buffer.concat([randomBytes(400_000), Buffer.alloc(40 * 400_000, 'x')]);
    writeFileSync(source, content);
    await compressFile(source, path, { frameBytes: 400_000, workers: 4 });
    expect((await contentOf(path)).equals(content)).toBe(true);
  });

  test('each frame has a checksum', async () => {
    await compressContent(randomBytes(FRAME_BYTES * 2));
    const bytes = readFileSync(path);
    for (const { offset } of readFrames(path)) expect(bytes.readUInt8(offset + 4) & 0b100).toBe(0b100);
  });

  test('an abort ends it at once, in the middle of frames, with its reason', async () => {
    writeFileSync(source, randomBytes(24_000_000));
    const controller = new AbortController();
    const start = performance.now();
    const running = compressFile(source, path, { workers: 2, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('stop')), 50);
    await expect(running).rejects.toThrow('stop');
    // A frame alone takes longer.
    expect(performance.now() - start).toBeLessThan(1000);
    await expect(compressFile(source, `${path}2`, { signal: controller.signal })).rejects.toThrow('stop');
  });

  test("an error of the system is the caller's, and no promise is left over", async () => {
    mkdirSync(source);
    await expect(compressFile(source, path)).rejects.toThrow('EISDIR');
    await expect(compressFile(join(directory, 'none'), path)).rejects.toThrow('ENOENT');
  });

  test('an existing destination is not overwritten', async () => {
    writeFileSync(path, 'mine');
    writeFileSync(source, 'x');
    await expect(compressFile(source, path)).rejects.toThrow('EEXIST');
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });
});

describe('the structure of a file', () => {
  const one = zstdCompressSync(Buffer.from('one '.repeat(50)));
  const other = zstdCompressSync(randomBytes(300_000), { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

  test.each([
    ['one frame', one, 1],
    ['two frames', Buffer.concat([one, other]), 2],
    ['skippable frames around', Buffer.concat([SKIPPABLE, one, SKIPPABLE, other, SKIPPABLE]), 2],
    ['no content in a frame', zstdCompressSync(Buffer.alloc(0)), 1],
    ['a run', zstdCompressSync(Buffer.alloc(500_000)), 1],
  ])('%s', (_, bytes, count) => {
    writeFileSync(path, bytes);
    expect(zstdDefect(path)).toBeUndefined();
    expect(readFrames(path)).toHaveLength(count);
  });

  test.each([
    ['empty', Buffer.alloc(0), 'empty'],
    ['junk', Buffer.from('#!/bin/sh\n'), 'not zstd at byte 0'],
    ['junk behind', Buffer.concat([one, Buffer.from('junk')]), `not zstd at byte ${one.length}`],
    ['nothing but skippable', SKIPPABLE, 'no content'],
    ['a damaged block', Buffer.from('28b52ffd0000ffffff', 'hex'), 'a damaged block at byte 6'],
  ])('%s', (_, bytes, defect) => {
    writeFileSync(path, bytes);
    expect(zstdDefect(path)).toBe(defect);
  });

  test('cut off anywhere but between frames', () => {
    const whole = Buffer.concat([one, SKIPPABLE, one]);
    const between = [one.length, one.length + SKIPPABLE.length];
    for (let length = 1; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      expect(zstdDefect(path), String(length)).toBe(between.includes(length) ? undefined : 'cut off');
    }
  });

  test('no file, a directory, a FIFO', () => {
    expect(zstdDefect(path)).toBe('not there');
    expect(zstdDefect(join(source, 'x'))).toBe('not there');
    expect(zstdDefect(directory)).toBe('not a file');
    if (spawnSync('mkfifo', [path]).status === 0) expect(zstdDefect(path)).toBe('not a file');
  });
});

describe('the difference of content', () => {
  const content = randomBytes(FRAME_BYTES * 3 + 7);
  beforeEach(() => compressContent(content));

  test.each([
    ['more', Buffer.concat([content, Buffer.from('x')]), 'less content'],
    ['less', content.subarray(0, -1), 'more content'],
    ['nothing', Buffer.alloc(0), 'more content'],
    [
      'another byte at the end',
      Buffer.concat([content.subarray(0, -1), Buffer.from([(content.at(-1) ?? 0) ^ 1])]),
      'other content',
    ],
  ])('the source has %s', async (_, bytes, difference) => {
    writeFileSync(source, bytes);
    expect(await contentDifference(path, source)).toContain(difference);
  });

  test('a flipped bit anywhere is found', async () => {
    const bytes = readFileSync(path);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged.writeUInt8((damaged[at] ?? 0) ^ 0b1000, at);
      writeFileSync(path, damaged);
      expect(await contentDifference(path, source), `byte ${at}`).toBeDefined();
    }
  });

  test('a frame that is missing is found, the last one too', async () => {
    const bytes = readFileSync(path);
    for (const { offset, size } of readFrames(path)) {
      writeFileSync(join(directory, 'less'), Buffer.concat([bytes.subarray(0, offset), bytes.subarray(offset + size)]));
      expect(await contentDifference(join(directory, 'less'), source)).toBeDefined();
    }
  });

  test('no source is an error, not a difference', async () => {
    await expect(contentDifference(path, join(directory, 'none'))).rejects.toThrow('ENOENT');
  });
});

const zstd = requireTools('zstd');
describe('the zstd program', zstd.options, () => {
  test('accepts our files and gives the content back', async () => {
    for (const content of [Buffer.alloc(0), randomBytes(1), Buffer.alloc(1000, 'ab'), randomBytes(10_000)]) {
      await compressContent(content);
      execFileSync(zstd.path('zstd'), ['-t', '-q', path]);
      expect(execFileSync(zstd.path('zstd'), ['-d', '-c', '-q', path]).equals(content)).toBe(true);
    }
  });

  test.each(['-1', '-19 -T0', '--no-check', '--long=27 -3', '--no-content-size', '--ultra -22'])(
    'its own files are read: zstd %s',
    async (options) => {
      const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(2_000_000, 'text '), randomBytes(10)]);
      writeFileSync(source, content);
      const words = [...options.split(' '), '-q', '-c', source];
      const frame = execFileSync(zstd.path('zstd'), words, { maxBuffer: 10_000_000 });
      writeFileSync(path, frame);
      expect(zstdDefect(path)).toBeUndefined();
      expect(await contentDifference(path, source)).toBeUndefined();
      // Two files in one, as zstd allows: Node alone would read the first and say nothing of the second.
      appendFileSync(path, frame);
      expect(await contentDifference(path, source)).toContain('more content');
      writeFileSync(source, Buffer.concat([content, content]));
      expect(await contentDifference(path, source)).toBeUndefined();
    },
  );
});
