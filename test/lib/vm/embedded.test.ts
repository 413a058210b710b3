// SPDX-License-Identifier: Apache-2.0

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { embeddingProblem } from '../../../lib/vm/embedded.ts';
import { digestsOf } from '../../../lib/vm/runtime/record.ts';
import { BUNDLE_FILE, runtimeFiles } from '../../../lib/vm/runtime-files.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const NAMES = [...runtimeFiles('linux-x86_64'), BUNDLE_FILE];

test('C23, VT-18: what is in a driver, whole, and what is not: absent, cut off, an empty stub, replaced since', () => {
  const directory = temporaryDirectory();
  const driver = join(directory, 'driver');
  const parts = NAMES.map((name) => zstdCompressSync(Buffer.from(`${name} `.repeat(500))));
  for (const [index, name] of NAMES.entries()) writeFileSync(join(directory, name), parts[index] as Buffer);
  const wanted = digestsOf(directory, NAMES);
  const problem = () => embeddingProblem(driver, directory, wanted);
  const write = (...pieces: readonly Buffer[]) => writeFileSync(driver, Buffer.concat([Buffer.from('ELF'), ...pieces]));
  write(...parts);
  expect(problem()).toBeUndefined();
  const absent = (...names: readonly string[]) => `${driver} does not have ${names.join(', ')} of ${directory} in it`;
  write(...parts.slice(1).reverse());
  expect(problem()).toBe(absent('libkrun.so.zst'));
  write(...parts.slice(0, 4), (parts[4] as Buffer).subarray(0, -1));
  expect(problem()).toBe(absent(BUNDLE_FILE));
  write();
  expect(problem()).toBe(absent(...NAMES));
  const other = zstdCompressSync(Buffer.from('evil'));
  for (const content of ['', other]) {
    writeFileSync(join(directory, 'umoci.zst'), content);
    // Also where the driver has what is there now.
    write(...parts, other);
    expect(problem()).toMatch(/^umoci\.zst of \S+ was replaced after it was looked at, so it is not known what /);
  }
});
