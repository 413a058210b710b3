// SPDX-License-Identifier: Apache-2.0

/** The bundle's compression as a program of its own, for the benchmark: `compress.ts SOURCE DESTINATION`. */

import { compressTo } from '../support/compress-to.ts';

const [source = '', destination = ''] = process.argv.slice(2);
await compressTo(source, destination);
