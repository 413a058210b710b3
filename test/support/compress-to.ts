// SPDX-License-Identifier: Apache-2.0

/** The compression of a file to a path. */

import { open, readFile } from 'node:fs/promises';
import { compress } from '../../lib/zstd/compress.ts';

/** Compresses a file into a new one, or into the place of one. */
export async function compressTo(
  source: string,
  path: string,
  ...options: readonly [signal?: AbortSignal, frameBytes?: number]
): Promise<void> {
  await using output = await open(path, 'w');
  await output.writeFile(await compress(await readFile(source), ...options));
}
