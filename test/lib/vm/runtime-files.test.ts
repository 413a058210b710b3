// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  runtimeDefects,
  runtimeFiles,
  VM_PLATFORMS,
  type VmPlatform,
  vmPlatformOf,
} from '../../../lib/vm/runtime-files.ts';
import { buildElf } from '../../support/elf-builder.ts';
import { sha256 } from '../../support/release-server.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const whole = zstdCompressSync(Buffer.from('library'));

/** A directory with a complete runtime. */
function complete(platform: VmPlatform): string {
  const directory = temporaryDirectory('runtime');
  for (const name of runtimeFiles(platform)) writeFileSync(join(directory, name), whole);
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
    expect(namesOf(complete(platform), platform === 'darwin-aarch64' ? 'linux-x86_64' : 'darwin-aarch64')).toHaveLength(
      2,
    );
  });

  test('C23, LIB-3, SET-3: libkrunfw does not stand for libkrun, and an empty, foreign or cut off file is missing', () => {
    const directory = temporaryDirectory('runtime');
    writeFileSync(join(directory, 'libkrunfw.so.5.zst'), whole);
    writeFileSync(join(directory, 'gvproxy.zst'), '');
    writeFileSync(join(directory, 'umoci.zst'), whole.subarray(0, -1));
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

  test('a program of another machine, and a runtime that says it is for another platform', () => {
    const directory = complete('linux-x86_64');
    writeFileSync(join(directory, 'gvproxy.zst'), zstdCompressSync(buildElf({ machine: 183 }).bytes));
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([
      { name: 'gvproxy.zst', reason: 'for Linux on aarch64' },
    ]);
    expect(runtimeDefects(directory, 'linux-aarch64')).toEqual([]);
    writeFileSync(join(directory, 'provenance.json'), JSON.stringify({ platform: 'linux-x86_64' }));
    expect(runtimeDefects(directory, 'linux-aarch64')).toEqual([
      { name: 'provenance.json', reason: "of a runtime for 'linux-x86_64'" },
    ]);
    const mac = complete('darwin-aarch64');
    writeFileSync(join(mac, 'gvproxy.zst'), zstdCompressSync(buildElf({ machine: 183 }).bytes));
    writeFileSync(join(mac, 'umoci.zst'), zstdCompressSync(buildElf({ machine: 183 }).bytes));
    expect(namesOf(mac, 'darwin-aarch64')).toEqual(['gvproxy.zst']);
  });

  test('a file that is not the one that was verified', () => {
    const directory = complete('linux-x86_64');
    const files = Object.fromEntries(runtimeFiles('linux-x86_64').map((name) => [name, sha256(whole)]));
    writeFileSync(
      join(directory, '.verified.json'),
      JSON.stringify({ platform: 'linux-x86_64', verified: 'x', files }),
    );
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([]);
    writeFileSync(join(directory, 'umoci.zst'), zstdCompressSync(Buffer.from('another')));
    expect(runtimeDefects(directory, 'linux-x86_64')).toEqual([
      { name: 'umoci.zst', reason: 'other content than .verified.json says was verified' },
    ]);
  });
});
