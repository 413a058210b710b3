// SPDX-License-Identifier: Apache-2.0

/** Binaries for the verifiers, and the environment that they are run in. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildElf, DYNAMIC_RECIPE } from './elf-builder.ts';
import { temporaryDirectory } from './temporary.ts';

/** Nothing on PATH: the verifiers need no binutils (X8), on Linux or on a Mac. */
export const BARE = { PATH: '/nowhere/at/all:/bin', HOME: '/' };

/** A directory with one binary of each kind, and with what is not one. */
export function binaries(): string {
  const directory = temporaryDirectory();
  const write = (name: string, bytes: Uint8Array) => writeFileSync(join(directory, name), bytes, { mode: 0o755 });
  write('static', buildElf({}).bytes);
  write('static-arm64', buildElf({ machine: 183 }).bytes);
  write('dynamic', buildElf(DYNAMIC_RECIPE).bytes);
  write(
    'old-glibc',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_2.28'] }] }).bytes,
  );
  write(
    'new-glibc',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.34', 'GLIBC_2.28'] }] }).bytes,
  );
  write(
    'relr',
    buildElf({ ...DYNAMIC_RECIPE, versions: [{ library: 'libc.so.6', names: ['GLIBC_2.2.5', 'GLIBC_ABI_DT_RELR'] }] })
      .bytes,
  );
  write('text', Buffer.from('#!/bin/sh\nexit 0\n'));
  write('empty', Buffer.alloc(0));
  write('cut', readFileSync(process.execPath).subarray(0, 3000));
  write('-dash', buildElf({}).bytes);
  return directory;
}
