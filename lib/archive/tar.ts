// SPDX-License-Identifier: Apache-2.0

/** Tar archives in memory: all of one is judged before anything is unpacked, and its owners and modes never count. */

import { posix } from 'node:path';
import { Header, Parser, type ReadEntry } from 'tar';
import { oneLine, shown } from '../errors.ts';

/** What is wrong with an archive, in a few words. */
export class ArchiveError extends Error {}

const FILES: readonly string[] = ['File', 'OldFile'];
/** Set-user-ID, set-group-ID, sticky. */
const SPECIAL_BITS = 0o7000;
const BLOCK_BYTES = 512;
/** The end of an archive: at least two blocks of zeros, and GNU tar fills a record of twenty. */
const RECORD_BYTES = 20 * BLOCK_BYTES;

/** The files of a tar archive, by their paths, `libkrun.so` for `./libkrun.so`. @throws ArchiveError for a wrong entry */
export function readArchive(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const problems: string[] = [];
  const note = (entry: ReadEntry, problem: string | undefined) => {
    if (problem !== undefined) problems.push(`the entry ${shown(entry.path)} is refused: ${problem}`);
    entry.resume();
  };
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      const path = posix.normalize(entry.path).replace(/\/+$/, '') || '.';
      const problem = defectOf(entry) ?? (files.has(path) ? 'it is there twice' : undefined);
      if (problem === undefined && FILES.includes(entry.type)) {
        // The path is taken before its content has come.
        files.set(path, Buffer.alloc(0));
        const pieces: Buffer[] = [];
        entry.on('data', (piece: Buffer) => pieces.push(piece));
        entry.on('end', () => files.set(path, Buffer.concat(pieces)));
      }
      note(entry, problem);
    },
  });
  parser.on('ignoredEntry', (entry: ReadEntry) => note(entry, `its type is ${entry.type}`));
  parser.on('error', (error: Error) => problems.push(`damaged: ${oneLine(error.message)}`));
  parser.end(archive);
  if (files.size === 0) problems.push('it is not a tar archive with files');
  if (problems.length > 0) throw new ArchiveError(problems[0]);
  return files;
}

function defectOf({ mode = 0, path, type }: ReadEntry): string | undefined {
  if (path.startsWith('/') || path.split('/').includes('..')) return 'it leaves the directory';
  if (type === 'Directory') return undefined;
  if (!FILES.includes(type)) return `its type is ${type}`;
  return (mode & SPECIAL_BITS) === 0 ? undefined : `its mode is ${(mode & 0o7777).toString(8)}`;
}

/** A file to pack: a relative path of at most 100 bytes, and the permission bits. */
interface ArchiveFile {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** Packs files: sorted, of root, with modes that are told, and a time in seconds since 1970. */
export function writeArchive(files: readonly ArchiveFile[], time: number): Buffer {
  const mtime = new Date(time * 1000);
  const sorted = [...files].sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)));
  const blocks = sorted.flatMap(({ content, mode, path }) => {
    const block = Buffer.alloc(BLOCK_BYTES);
    new Header({ path, mode, uid: 0, gid: 0, size: content.length, mtime, type: 'File' }).encode(block);
    return [block, content, zeros(content.length, BLOCK_BYTES)];
  });
  const all = Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
  return Buffer.concat([all, zeros(all.length, RECORD_BYTES)]);
}

/** What is missing up to a multiple of `unit`. */
function zeros(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}
