// SPDX-License-Identifier: Apache-2.0

import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  BUNDLE_FILE,
  distrustOf,
  embeddingProblem,
  partDefect,
  runtimeDefects,
  runtimeFiles,
  runtimeNames,
  sha256Of,
  VM_PLATFORMS,
  type VmPlatform,
  vmPlatformOf,
} from '../../../lib/vm/runtime-files.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { onlyLinuxAmd64 } from '../../support/real-tools.ts';
import { runtimePart } from '../../support/runtime-parts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

/** A directory with a complete runtime. */
function complete(platform: VmPlatform): string {
  const directory = temporaryDirectory('runtime');
  for (const name of runtimeNames(platform)) {
    writeFileSync(join(directory, `${name}.zst`), zstdCompressSync(runtimePart(platform, name, name)));
  }
  return directory;
}

const namesOf = (directory: string, platform: VmPlatform) =>
  runtimeDefects(directory, platform).map(({ name }) => name);

describe('the runtime', () => {
  test('CMP-2: the names are those that the driver embeds on each platform, and each host has one', () => {
    const linux = ['libkrun.so.zst', 'libkrunfw.so.5.zst', 'gvproxy.zst', 'umoci.zst'];
    expect(runtimeFiles('linux-x86_64')).toEqual(linux);
    expect(runtimeFiles('linux-aarch64')).toEqual(linux);
    const mac = ['libkrun.dylib.zst', 'libkrunfw.5.dylib.zst', 'gvproxy.zst', 'umoci.zst'];
    expect(runtimeFiles('darwin-aarch64')).toEqual(mac);
    expect(vmPlatformOf({ platform: 'linux', arch: 'arm64' })).toBe('linux-aarch64');
    expect(vmPlatformOf({ platform: 'darwin', arch: 'arm64' })).toBe('darwin-aarch64');
    expect(() => vmPlatformOf({ platform: 'darwin', arch: 'amd64' })).toThrow(
      'the VM driver does not run on darwin amd64; it runs on linux-x86_64, linux-aarch64, darwin-aarch64',
    );
    expect(() => vmPlatformOf({ platform: 'win32', arch: 'amd64' })).toThrow('does not run on win32');
  });

  test.each(VM_PLATFORMS)('STG-1: %s: each file is looked for by its own name', (platform) => {
    expect(namesOf(join(temporaryDirectory(), 'none'), platform)).toEqual(runtimeFiles(platform));
    expect(namesOf(complete(platform), platform)).toEqual([]);
    const other = platform === 'darwin-aarch64' ? 'linux-x86_64' : 'darwin-aarch64';
    expect(namesOf(complete(platform), other).length).toBeGreaterThan(2);
  });

  test('C23, LIB-3, SET-3: libkrunfw does not stand for libkrun, and an empty, foreign or cut off file is missing', () => {
    const directory = complete('linux-x86_64');
    const umoci = join(directory, 'umoci.zst');
    rmSync(join(directory, 'libkrun.so.zst'));
    writeFileSync(join(directory, 'gvproxy.zst'), '');
    writeFileSync(umoci, readFileSync(umoci).subarray(0, -1));
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([
      { name: 'libkrun.so.zst', reason: 'not there' },
      { name: 'gvproxy.zst', reason: 'empty' },
      { name: 'umoci.zst', reason: 'cut off' },
    ]);
    writeFileSync(join(directory, 'libkrun.so.zst'), '#!/bin/sh\n');
    writeFileSync(join(directory, 'gvproxy.zst'), zstdCompressSync(Buffer.alloc(0)));
    mkdirSync(join(directory, 'libkrunfw.so.5.zst.d'));
    expect(runtimeDefects(directory, 'linux-x86_64').slice(0, 2)).toEqual([
      { name: 'libkrun.so.zst', reason: 'not zstd at byte 0' },
      { name: 'gvproxy.zst', reason: 'no content' },
    ]);
  });

  test('a program of another machine', () => {
    const directory = complete('linux-x86_64');
    writeFileSync(join(directory, 'gvproxy.zst'), zstdCompressSync(buildElf({ machine: 183 }).bytes));
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([
      { name: 'gvproxy.zst', reason: expect.stringMatching(/^no program for Linux on amd64 \(.* is for aarch64/) },
    ]);
    const mac = complete('darwin-aarch64');
    writeFileSync(join(mac, 'gvproxy.zst'), zstdCompressSync(buildElf({ machine: 183 }).bytes));
    expect(namesOf(mac, 'darwin-aarch64')).toEqual(['gvproxy.zst']);
  });

  /** Records what is in a directory. */
  function record(directory: string, own: object): void {
    const names = runtimeFiles('linux-x86_64');
    const files = Object.fromEntries(names.map((name) => [name, sha256Of(readFileSync(join(directory, name)))]));
    const text = JSON.stringify({ platform: 'linux-x86_64', wanted: 'x', sources: {}, files, ...own });
    writeFileSync(join(directory, '.verified.json'), text);
  }

  test('a file that is not the one that was verified', () => {
    const directory = complete('linux-x86_64');
    record(directory, { verified: 'x' });
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([]);
    writeFileSync(join(directory, 'umoci.zst'), zstdCompressSync(runtimePart('linux-x86_64', 'umoci', 'another')));
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([
      { name: 'umoci.zst', reason: 'other content than .verified.json says was verified' },
    ]);
  });

  test('VT-3, VT-21: what was not verified is said; a record of another platform tells nothing', () => {
    const directory = complete('linux-x86_64');
    const said = () => distrustOf(directory, 'linux-x86_64');
    const notVerified = /^the VM runtime in \S+ is NOT verified; set it up: mise run vm:setup -- --force$/;
    expect(said()).toMatch(notVerified);
    record(directory, {});
    expect(said()).toMatch(notVerified);
    record(directory, { verified: 'x' });
    expect(said()).toBeUndefined();
    record(directory, { verified: 'x', platform: 'linux-aarch64' });
    expect(said()).toMatch(notVerified);
  });

  test('C23, VT-18: what is in a driver, whole, and what is not: absent, cut off, an empty stub, replaced since', () => {
    const directory = complete('linux-x86_64');
    writeFileSync(join(directory, BUNDLE_FILE), zstdCompressSync(Buffer.from('bundle '.repeat(500))));
    record(directory, { verified: 'x' });
    const names = [...runtimeFiles('linux-x86_64'), BUNDLE_FILE];
    const parts = names.map((name) => readFileSync(join(directory, name)));
    const driver = join(directory, 'driver');
    const problem = () => embeddingProblem(driver, directory, 'linux-x86_64');
    const write = (...pieces: readonly Buffer[]) =>
      writeFileSync(driver, Buffer.concat([Buffer.from('ELF'), ...pieces]));
    const absent = (...missing: readonly string[]) =>
      `${driver} does not have ${missing.join(', ')} of ${directory} in it`;
    write(...parts);
    expect(problem()).toBeUndefined();
    write(...parts.slice(1).reverse());
    expect(problem()).toBe(absent('libkrun.so.zst'));
    write(...parts.slice(0, 4), (parts[4] as Buffer).subarray(0, -1));
    expect(problem()).toBe(absent(BUNDLE_FILE));
    write();
    expect(problem()).toBe(absent(...names));
    const other = zstdCompressSync(runtimePart('linux-x86_64', 'umoci', 'another'));
    for (const content of [Buffer.alloc(0), other]) {
      writeFileSync(join(directory, 'umoci.zst'), content);
      // Also where the driver has what is there now.
      write(...parts, other);
      expect(problem()).toMatch(/^the VM runtime in \S+ was replaced: umoci\.zst \(/);
    }
  });
});

describe('VT-20: a part of a runtime is a whole program, or a whole library', () => {
  const PARTS = VM_PLATFORMS.flatMap((platform) => runtimeNames(platform).map((name) => [platform, name] as const));
  test.each(PARTS)('%s: %s', (platform, name) => {
    const part = runtimePart(platform, name, 'x'.repeat(99));
    expect(partDefect(part, platform, name)).toBeUndefined();
    expect(partDefect(Buffer.alloc(0), platform, name)).toBe('no content');
    // Of a Mach-O file only the head is looked at.
    const isMachO = platform === 'darwin-aarch64' && name !== 'umoci';
    const cut = (isMachO ? [3] : [3, 40, 90]).map((length) => part.subarray(0, length));
    const others = [Buffer.from('<html>Not found</html>'), Buffer.from('half'), Buffer.alloc(5000), ...cut];
    for (const other of others) expect(partDefect(other, platform, name), other.toString()).toBeDefined();
    // A program is no library, and a library is no program.
    const kind = name.startsWith('libkrun') ? 'gvproxy' : runtimeNames(platform)[0];
    expect(partDefect(runtimePart(platform, kind as string), platform, name)).toMatch(/^no (program|library) for /);
  });

  test('a universal program for macOS: with this processor in it', () => {
    const slice = runtimePart('darwin-aarch64', 'gvproxy', 'x');
    const universal = (cpu: number, size = slice.length) => {
      const head = Buffer.alloc(28);
      for (const [index, word] of [0xcafebabe, 1, cpu, 0, 28, size].entries()) head.writeUInt32BE(word, index * 4);
      return Buffer.concat([head, slice]);
    };
    const defect = (content: Buffer) => partDefect(content, 'darwin-aarch64', 'gvproxy');
    expect(defect(universal(0x0100000c))).toBeUndefined();
    expect(defect(universal(0x01000007))).toBe('no program for macOS on arm64');
    expect(partDefect(universal(0x0100000c), 'darwin-aarch64', 'libkrun.dylib')).toMatch(/^no library/);
  });

  test('real ones', onlyLinuxAmd64(), () => {
    const [libz] = globSync('/{usr/,}lib/x86_64-linux-gnu/{libz.so.1,libcrypto.so.3}');
    if (libz !== undefined) expect(partDefect(readFileSync(libz), 'linux-x86_64', 'libkrun.so')).toBeUndefined();
    const node = readFileSync(process.execPath);
    expect(partDefect(node, 'linux-x86_64', 'gvproxy')).toBeUndefined();
    expect(partDefect(node, 'linux-x86_64', 'libkrun.so')).toMatch(/is a program \(dynamic\), wanted a shared library/);
    expect(partDefect(node.subarray(0, 3000), 'linux-x86_64', 'umoci')).toMatch(/^no program for Linux on amd64/);
  });
});
