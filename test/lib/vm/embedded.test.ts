// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { notEmbedded } from '../../../lib/vm/embedded.ts';
import { BUNDLE_FILE, runtimeFiles } from '../../../lib/vm/runtime-files.ts';
import { sha256 } from '../../support/release-server.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const PLATFORM = 'linux-x86_64';
const NAMES = [...runtimeFiles(PLATFORM), BUNDLE_FILE];

test('C23: what is in a driver, whole, and what is not: absent, cut off, an empty stub, changed since', () => {
  const directory = temporaryDirectory();
  const driver = join(directory, 'driver');
  const parts = NAMES.map((name) => zstdCompressSync(Buffer.from(`${name} `.repeat(500))));
  for (const [index, name] of NAMES.entries()) writeFileSync(join(directory, name), parts[index] as Buffer);
  const write = (...pieces: readonly Buffer[]) => writeFileSync(driver, Buffer.concat([Buffer.from('ELF'), ...pieces]));
  write(...parts);
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual([]);
  write(...parts.slice(1).reverse());
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual(['libkrun.so.zst']);
  write(...parts.slice(0, 4), (parts[4] as Buffer).subarray(0, -1));
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual([BUNDLE_FILE]);
  write();
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual(NAMES);
  write(...parts);
  writeFileSync(join(directory, 'umoci.zst'), '');
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual(['umoci.zst']);
  writeFileSync(join(directory, 'umoci.zst'), parts[3] as Buffer);
  const files = { 'gvproxy.zst': sha256(readFileSync(join(directory, 'umoci.zst'))) };
  writeFileSync(join(directory, '.verified.json'), JSON.stringify({ platform: PLATFORM, files }));
  expect(notEmbedded(driver, directory, PLATFORM)).toEqual(['gvproxy.zst']);
});
