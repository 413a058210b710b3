// SPDX-License-Identifier: Apache-2.0

/** The bundle's compression as a program of its own, for the benchmark: `compress.ts SOURCE DESTINATION`. */

import { rmSync } from 'node:fs';
import { compressFile } from '../../lib/zstd/compress.ts';

const [source = '', destination = ''] = process.argv.slice(2);
rmSync(destination, { force: true });
await compressFile(source, destination);
