// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ZstdCompress, zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { divide } from '../../../lib/zstd/compress.ts';
import { contentDefect, readContent } from '../../../lib/zstd/decompress.ts';
import { compressTo } from '../../support/compress-to.ts';
import { requireTools } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const FRAME_BYTES = 64;

/** Called with a frame that has been compressed: `finish` gives its end to the code under test. */
type Hold = (index: number, finish: () => void) => void;
const frames = vi.hoisted(() => ({ begun: [] as ZstdCompress[], hold: undefined as Hold | undefined }));

vi.mock('node:zlib', async (importOriginal) => {
  const zlib = await importOriginal<typeof import('node:zlib')>();
  const createZstdCompress: typeof zlib.createZstdCompress = (options) => {
    const frame = zlib.createZstdCompress(options);
    const { hold } = frames;
    const index = frames.begun.push(frame) - 1;
    const flush = frame._flush.bind(frame);
    if (hold !== undefined) frame._flush = (callback) => flush((...result) => hold(index, () => callback(...result)));
    return frame;
  };
  return { ...zlib, createZstdCompress };
});

/** Decides when the frames of this test end; they are counted in the order in which they are begun. */
function holdFrames(hold: Hold): void {
  Object.assign(frames, { begun: [], hold });
  onTestFinished(() => {
    frames.hold = undefined;
  });
}

let directory = '';
let path = '';
let source = '';
beforeEach(() => {
  directory = temporaryDirectory('zstd');
  path = join(directory, 'file.zst');
  source = join(directory, 'file');
});

/** Compresses a content in small frames. */
async function compressContent(content: Uint8Array): Promise<void> {
  rmSync(path, { force: true });
  writeFileSync(source, content);
  await compressTo(source, path, undefined, FRAME_BYTES);
}

/** The descriptor of each frame (RFC 8878, 3.1.1.1.1), the byte after the magic number. */
function frameDescriptors(): number[] {
  const bytes = readFileSync(path);
  const descriptors: number[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    descriptors.push(bytes.readUInt8(offset + 4));
    const result: unknown = zstdDecompressSync(bytes.subarray(offset), { info: true });
    offset += (result as { engine: { bytesWritten: number } }).engine.bytesWritten;
  }
  return descriptors;
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
        const content = Buffer.alloc(size);
        const pieces = divide(content, most);
        let end = content.byteOffset;
        for (const { byteOffset, length } of pieces) {
          if (byteOffset !== end || length > most || Math.abs(length - size / pieces.length) >= 1) return false;
          end += length;
        }
        expect(end).toBe(content.byteOffset + size);
        return pieces.length === Math.max(1, Math.ceil(size / most));
      }),
    );
  });
});

describe('compression', () => {
  test('any content comes back, from as many frames as planned', async () => {
    await fc.assert(
      fc.asyncProperty(aContent, async (content) => {
        await compressContent(content);
        expect(contentDefect(path, source)).toBeUndefined();
        expect(readContent(path)).toEqual(Buffer.from(content));
        expect(frameDescriptors()).toHaveLength(divide(Buffer.from(content), FRAME_BYTES).length);
      }),
      { numRuns: 150 },
    );
  });

  test('the frames are in order although they are finished in another', async () => {
    const content = randomBytes(40_000);
    writeFileSync(source, content);
    const finished: number[] = [];
    holdFrames((index, finish) => {
      // The first one ends when the three that are compressed beside it have ended.
      if (index === 0) return void vi.waitUntil(() => finished.length >= 3).then(() => finish());
      finished.push(index);
      finish();
    });
    await compressTo(source, path, undefined, 1000);
    expect(finished).toHaveLength(39);
    expect(readContent(path).equals(content)).toBe(true);
  });

  test('each frame has a checksum', async () => {
    await compressContent(randomBytes(FRAME_BYTES * 2));
    expect(frameDescriptors().map((descriptor) => descriptor & 0b100)).toEqual([0b100, 0b100]);
  });

  test('an abort ends it in the middle of frames, which are broken off, with its reason', async () => {
    writeFileSync(source, randomBytes(10_000));
    const controller = new AbortController();
    const held: (() => void)[] = [];
    holdFrames((_, finish) => held.push(finish));
    const running = compressTo(source, path, controller.signal, 1000);
    await vi.waitUntil(() => held.length === 10);
    expect(frames.begun.map(({ destroyed }) => destroyed)).toEqual(Array(10).fill(false));
    controller.abort(new Error('stop'));
    await expect(running).rejects.toThrow('stop');
    expect(frames.begun.map(({ destroyed }) => destroyed)).toEqual(Array(10).fill(true));
    await expect(compressTo(source, `${path}2`, controller.signal)).rejects.toThrow('stop');
    expect(frames.begun).toHaveLength(10);
  });

  test("an error of the system is the caller's, and no promise is left over", async () => {
    mkdirSync(source);
    await expect(compressTo(source, path)).rejects.toThrow('EISDIR');
    await expect(compressTo(join(directory, 'none'), path)).rejects.toThrow('ENOENT');
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
});
