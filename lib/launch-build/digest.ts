// SPDX-License-Identifier: Apache-2.0

/**
 * The SHA-256 of a big file, kept beside it for the next time: a supervisor of 200 MB takes longer
 * to read than cargo takes to see that nothing has changed.
 */

import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeWhole } from '../files.ts';

/** What changes when a file's content does: writing moves `ctime`, which nobody can set back. */
export function stampOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

/** The file's SHA-256 in hexadecimal. */
export async function digestOf(path: string): Promise<string> {
  const memo = join(dirname(path), `.${basename(path)}.sha256`);
  const before = stampOf(path);
  const known = knownDigest(memo, before);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  const digest = hash.digest('hex');
  if (stampOf(path) === before) writeWhole(memo, `${digest} ${before}\n`, 0o644);
  return digest;
}

function knownDigest(memo: string, stamp: string): string | undefined {
  try {
    const [, digest, of] = /^([0-9a-f]{64}) (.*)\n$/.exec(readFileSync(memo, 'utf8')) ?? [];
    return of === stamp ? digest : undefined;
  } catch {
    // Not there yet, or not readable: the file itself is read.
    return undefined;
  }
}
