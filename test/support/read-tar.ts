// SPDX-License-Identifier: Apache-2.0

/** Files out of tar archives, such as the layers of images: enough of the format for what engines write. */

import { gunzipSync } from 'node:zlib';

const BLOCK_BYTES = 512;

/** The files of an archive, compressed or not, by their path without a leading `./`. */
export function readTar(archive: Buffer): Map<string, Buffer> {
  const bytes = archive.readUInt16BE(0) === 0x1f8b ? gunzipSync(archive) : archive;
  const files = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK_BYTES <= bytes.length && bytes[at] !== 0; ) {
    const text = (offset: number, length: number) =>
      bytes.toString('utf8', at + offset, at + offset + length).replace(/\0[\s\S]*$/, '');
    const size = Number.parseInt(text(124, 12).trim() || '0', 8);
    const path = `${text(345, 155)}/${text(0, 100)}`.replace(/^[./]+/, '');
    const type = text(156, 1);
    if (type === '0' || type === '') files.set(path, bytes.subarray(at + BLOCK_BYTES, at + BLOCK_BYTES + size));
    at += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return files;
}
