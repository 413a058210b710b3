// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { readFrames, zstdDefect } from '../../../lib/zstd/frames.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const SKIPPABLE = Buffer.from('5f2a4d1803000000616263', 'hex');

let directory = '';
let path = '';
let source = '';
beforeEach(() => {
  directory = temporaryDirectory('zstd');
  path = join(directory, 'file.zst');
  source = join(directory, 'file');
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
    ['junk after a frame', Buffer.concat([one, Buffer.from('junk')]), `not zstd at byte ${one.length}`],
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
