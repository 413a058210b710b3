// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { removeStaleCmakeCaches } from '../../../lib/cargo/cmake-cache.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const TRIPLE = 'x86_64-unknown-linux-gnu';
const BUILD = `${TRIPLE}/release/build`;
const ZIGBUILD = 'CMAKE_C_COMPILER:FILEPATH=/root/.cache/cargo-zigbuild/0.22.3/zigcc\n';
const ZIGCC = 'CMAKE_C_COMPILER:FILEPATH=/x/zigcc-x86_64-unknown-linux-gnu.2.28-ab12.sh\n';
const ZIGCXX = 'set(CMAKE_CXX_COMPILER "/x/zigcxx-aarch64-unknown-linux-gnu.2.28.sh")\n';
const OURS = 'CMAKE_C_COMPILER:FILEPATH=/checkout/target/zig-gnu-wrapper/amd64/cc\n';

let target: string;
beforeEach(() => {
  target = temporaryDirectory('target dir');
});

function cache(path: string, text: string): string {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  writeFileSync(join(target, path), text);
  return dirname(join(target, path));
}

describe('removed', () => {
  test.each([
    ['cargo-zigbuild in the cache', 'CMakeCache.txt', ZIGBUILD],
    ['its C wrapper in the cache', 'CMakeCache.txt', ZIGCC],
    ['its C++ wrapper below CMakeFiles', 'CMakeFiles/3.25.1/CMakeCXXCompiler.cmake', ZIGCXX],
    ['in a binary file', 'CMakeFiles/a.out', `\0\u00ff${ZIGBUILD}\0`],
  ])('%s', (_, file, text) => {
    const directory = join(target, BUILD, 'z3-sys-0123abcd/out/build');
    cache(`${BUILD}/z3-sys-0123abcd/out/build/CMakeCache.txt`, OURS);
    cache(`${BUILD}/z3-sys-0123abcd/out/build/${file}`, text);
    expect(removeStaleCmakeCaches(target, NOTHING_SET, TRIPLE)).toEqual([directory]);
    expect(existsSync(directory)).toBe(false);
    expect(existsSync(dirname(directory))).toBe(true);
    expect(removeStaleCmakeCaches(target, NOTHING_SET, TRIPLE)).toEqual([]);
  });

  test('of both profiles, each of several packages, and the right one stays', () => {
    const stale = [
      cache(`${TRIPLE}/release/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC),
      cache(`${TRIPLE}/release/build/z3-sys-2/out/build/CMakeCache.txt`, ZIGBUILD),
      cache(`${TRIPLE}/debug/build/z3-sys-3/out/build/CMakeCache.txt`, ZIGCC),
    ];
    const kept = cache(`${TRIPLE}/release/build/z3-sys-4/out/build/CMakeCache.txt`, OURS);
    expect(removeStaleCmakeCaches(target, NOTHING_SET, TRIPLE).sort()).toEqual(stale.sort());
    expect(stale.filter((directory) => existsSync(directory))).toEqual([]);
    expect(existsSync(kept)).toBe(true);
  });
});

describe('kept', () => {
  test.each([
    ['our own wrapper', `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`, OURS],
    [
      'a wrapper without a glibc version',
      `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`,
      '/x/zigcc-x86_64-unknown-linux-musl',
    ],
    ['a version on another line', `${BUILD}/z3-sys-1/out/build/CMakeCache.txt`, '/x/zigcc-a\nx-unknown-linux-gnu.2.28'],
    ['another package', `${BUILD}/zstd-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['a package whose name begins otherwise', `${BUILD}/my-z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['another file of the cache', `${BUILD}/z3-sys-1/out/build/notes.txt`, ZIGCC],
    ['less deep', `${BUILD}/z3-sys-1/build/CMakeCache.txt`, ZIGCC],
    ['deeper', `${BUILD}/z3-sys-1/out/build/build/CMakeCache.txt`, ZIGCC],
    ['deeper in the other way', `${BUILD}/x/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['beside', `${BUILD}/z3-sys-1/out/other/CMakeCache.txt`, ZIGCC],
    ['another target', 'aarch64-unknown-linux-gnu/release/build/z3-sys-1/out/build/CMakeCache.txt', ZIGCC],
    ['the host', 'release/build/z3-sys-1/out/build/CMakeCache.txt', ZIGCC],
    ['another profile', `${TRIPLE}/bench/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
    ['the target with its glibc version', `${TRIPLE}.2.28/release/build/z3-sys-1/out/build/CMakeCache.txt`, ZIGCC],
  ])('%s', (_, path, text) => {
    cache(path, text);
    expect(removeStaleCmakeCaches(target, NOTHING_SET, TRIPLE)).toEqual([]);
    expect(existsSync(join(target, path))).toBe(true);
  });
});

test('odd things in the way are no errors', () => {
  expect(removeStaleCmakeCaches(join(target, 'none'), NOTHING_SET, TRIPLE)).toEqual([]);
  cache(`${BUILD}/z3-sys-file`, 'a file with the name of the directory');
  cache(`${BUILD}/z3-sys-1/out/build`, 'a file called build');
  cache(`${BUILD}/z3-sys-2/out/build/CMakeFiles`, 'a file called CMakeFiles');
  mkdirSync(join(target, BUILD, 'z3-sys-3/out/build/CMakeCache.txt'), { recursive: true });
  mkdirSync(join(target, BUILD, 'z3-sys-4/out/build/CMakeFiles'), { recursive: true });
  symlinkSync('nowhere', join(target, BUILD, 'z3-sys-4/out/build/CMakeFiles/link'));
  writeFileSync(join(target, TRIPLE, 'debug'), 'a file called debug');
  expect(removeStaleCmakeCaches(target, NOTHING_SET, TRIPLE)).toEqual([]);
});
