// SPDX-License-Identifier: Apache-2.0

/**
 * Reads a file over and over until `FILE.stop` exists, as an image build would while it is staged,
 * and prints how often it was whole, partial and missing. A whole file is SIZE times one character.
 */

import { closeSync, existsSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';

const [path = '', size = ''] = process.argv.slice(2);
const seen = { whole: 0, partial: 0, missing: 0 };
const ends = Buffer.alloc(2);

/** Looks at the size and at both ends only: the shorter a look is, the less slips through between two. */
function look(): keyof typeof seen {
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch {
    return 'missing';
  }
  try {
    if (fstatSync(handle).size !== Number(size)) return 'partial';
    readSync(handle, ends, 0, 1, 0);
    readSync(handle, ends, 1, 1, Number(size) - 1);
    return ends[0] === ends[1] ? 'whole' : 'partial';
  } finally {
    closeSync(handle);
  }
}

writeSync(1, 'ready\n');
for (let round = 0; round % 100 !== 0 || !existsSync(`${path}.stop`); round++) seen[look()]++;
writeSync(1, `${JSON.stringify(seen)}\n`);
