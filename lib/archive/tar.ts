// SPDX-License-Identifier: Apache-2.0

/**
 * Tar archives in memory: nothing is unpacked before all of it has been judged, and nothing that an archive says of
 * owners and modes is ever applied. What is written is the same whoever makes it, and wherever.
 */

import { posix } from 'node:path';
import { Header, Parser, type ReadEntry } from 'tar';
import { oneLine, shown } from '../errors.ts';

/** What is wrong with an archive, in a few words. */
export class ArchiveError extends Error {}

const FILES: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];
const DIRECTORIES: readonly string[] = ['Directory', 'GNUDumpDir'];
/** Set-user-ID, set-group-ID, sticky. */
const SPECIAL_BITS = 0o7000;
const BLOCK_BYTES = 512;
/** The end of an archive: at least two blocks of zeros, and GNU tar fills a record of twenty. */
const RECORD_BYTES = 20 * BLOCK_BYTES;

/**
 * Reads an uncompressed tar archive.
 * @returns the contents of the files by their paths, which are normal and relative: `libkrun.so`, not `./libkrun.so`
 * @throws ArchiveError for an archive that is damaged, and for one with an entry that leaves the directory, a link, a
 *   device, a file with a special mode, or two entries of one path
 */
export function readArchive(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const problems: ArchiveError[] = [];
  const note = (entry: ReadEntry, problem: string | undefined) => {
    if (problem !== undefined) problems.push(new ArchiveError(`the entry ${shown(entry.path)} is refused: ${problem}`));
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
  parser.on('error', (error: Error) => problems.push(new ArchiveError(`damaged: ${oneLine(error.message)}`)));
  parser.end(archive);
  if (problems[0] !== undefined) throw problems[0];
  if (files.size === 0) throw new ArchiveError('it is not a tar archive with files');
  return files;
}

function defectOf({ mode = 0, path, type }: ReadEntry): string | undefined {
  if (path.startsWith('/') || path.split('/').includes('..')) return 'it leaves the directory';
  if (DIRECTORIES.includes(type)) return undefined;
  if (!FILES.includes(type)) return `its type is ${type}`;
  return (mode & SPECIAL_BITS) === 0 ? undefined : `its mode is ${(mode & 0o7777).toString(8)}`;
}

export interface ArchiveFile {
  /** Relative, of at most 100 bytes. */
  readonly path: string;
  readonly content: Buffer;
  /** The permission bits. */
  readonly mode: number;
}

/**
 * Packs files: sorted, of root, with modes and a time that are told.
 * @param time that all of them bear, in seconds since 1970
 */
export function writeArchive(files: readonly ArchiveFile[], time: number): Buffer {
  const sorted = [...files].sort((left, right) => Buffer.compare(Buffer.from(left.path), Buffer.from(right.path)));
  const blocks = sorted.flatMap((file) => [
    headerOf(file, time),
    file.content,
    zeros(file.content.length, BLOCK_BYTES),
  ]);
  const all = Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]);
  return Buffer.concat([all, zeros(all.length, RECORD_BYTES)]);
}

function headerOf({ content, mode, path }: ArchiveFile, time: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const mtime = new Date(time * 1000);
  const header = new Header({ path, mode, uid: 0, gid: 0, size: content.length, mtime, type: 'File' });
  if (header.encode(block)) throw new RangeError(`${path} does not fit the header of a tar archive`);
  return block;
}

/** What is missing up to a multiple of `unit`. */
function zeros(length: number, unit: number): Buffer {
  return Buffer.alloc((unit - (length % unit)) % unit);
}
