// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { compressFile } from '../../../lib/zstd/compress.ts';
import { contentDifference } from '../../../lib/zstd/decompress.ts';
import { readFrames, zstdDefect } from '../../../lib/zstd/frames.ts';
import { requireTools } from '../../support/real-tools.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const FRAME_BYTES = 64;

let directory = '';
let path = '';
let source = '';
beforeEach(() => {
  directory = temporaryDirectory('zstd');
  path = join(directory, 'file.zst');
  source = join(directory, 'file');
});

describe('the difference of content', () => {
  const content = randomBytes(FRAME_BYTES * 3 + 7);
  beforeEach(async () => {
    writeFileSync(source, content);
    await compressFile(source, path, { frameBytes: FRAME_BYTES });
  });

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
  test.each(['-1', '-19 -T0', '--no-check', '--long=27 -3', '--no-content-size', '--ultra -22'])(
    'its own files are read: zstd %s',
    async (options) => {
      const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(2_000_000, 'text '), randomBytes(10)]);
      writeFileSync(source, content);
      const args = [...options.split(' '), '-q', '-c', source];
      const frame = execFileSync(zstd.path('zstd'), args, { maxBuffer: 10_000_000 });
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
