// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { missingRuntime, runtimeFiles } from '../../../lib/vm/runtime-files.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('the runtime', () => {
  const whole = zstdCompressSync(Buffer.from('library'));

  test('the names are those that the driver embeds on each platform', () => {
    expect(runtimeFiles('linux')).toEqual(['libkrun.so.zst', 'libkrunfw.so.5.zst', 'gvproxy.zst', 'umoci.zst']);
    expect(runtimeFiles('darwin')).toEqual(['libkrun.dylib.zst', 'libkrunfw.5.dylib.zst', 'gvproxy.zst', 'umoci.zst']);
    expect(() => runtimeFiles('win32')).toThrow('the VM driver does not run on win32');
  });

  test.each(['linux', 'darwin'] as const)('%s: each file is looked for by its own name', (platform) => {
    const directory = temporaryDirectory('runtime');
    expect(missingRuntime(join(directory, 'none'), platform)).toEqual(runtimeFiles(platform));
    for (const name of runtimeFiles(platform)) writeFileSync(join(directory, name), whole);
    expect(missingRuntime(directory, platform)).toEqual([]);
    expect(missingRuntime(directory, platform === 'linux' ? 'darwin' : 'linux')).toHaveLength(2);
  });

  test('C23: libkrunfw does not stand for libkrun, and an empty, foreign or cut off file is missing', () => {
    const directory = temporaryDirectory('runtime');
    writeFileSync(join(directory, 'libkrunfw.so.5.zst'), whole);
    writeFileSync(join(directory, 'gvproxy.zst'), '');
    writeFileSync(join(directory, 'umoci.zst'), whole.subarray(0, -1));
    expect(missingRuntime(directory, 'linux')).toEqual(['libkrun.so.zst', 'gvproxy.zst', 'umoci.zst']);
    writeFileSync(join(directory, 'libkrun.so.zst'), '#!/bin/sh\n');
    expect(missingRuntime(directory, 'linux')).toEqual(['libkrun.so.zst', 'gvproxy.zst', 'umoci.zst']);
  });
});
