// SPDX-License-Identifier: Apache-2.0

/**
 * The files of a tar archive, in memory: nothing is unpacked before all of it has been judged, and nothing that an
 * archive says of owners is ever applied.
 */

import { posix } from 'node:path';
import type { ReadEntry } from 'tar';
import { oneLine, shown } from '../errors.ts';

/** What is wrong with an archive, in a few words. */
export class ArchiveError extends Error {}

const FILES: readonly string[] = ['File', 'OldFile', 'ContiguousFile'];
const DIRECTORIES: readonly string[] = ['Directory', 'GNUDumpDir'];
const LINKS: readonly string[] = ['SymbolicLink', 'Link'];
/** Set-user-ID, set-group-ID, sticky. */
const SPECIAL_BITS = 0o7000;
const BLOCK_BYTES = 512;
/** As many as the system itself follows (path_resolution(7)). */
const LINKS_MAX = 40;

/** The files and links by their paths, which are normal and relative: `libkrun.so`, not `./libkrun.so`. */
interface Entries {
  readonly files: Map<string, Buffer>;
  readonly links: Map<string, string>;
}

/**
 * Reads an uncompressed tar archive. A link within it counts as the file that it leads to.
 * @returns the contents of the files by their paths
 * @throws ArchiveError for an archive that is damaged or cut off, and for one with an entry that leaves the directory,
 *   a link out of it, a device, a file with a special mode, or two entries of one path
 */
export async function readArchive(archive: Buffer): Promise<Map<string, Buffer>> {
  const { files, links } = await readEntries(archive);
  // The library takes one that was cut off between two entries for a whole one.
  if (archive.subarray(-BLOCK_BYTES).some((byte) => byte !== 0)) throw new ArchiveError('damaged: it has no end');
  const all = new Map(files);
  for (const path of links.keys()) all.set(path, contentBehind(path, files, links));
  return all;
}

async function readEntries(archive: Buffer): Promise<Entries> {
  const { Parser } = await import('tar');
  const entries: Entries = { files: new Map(), links: new Map() };
  const problems: unknown[] = [];
  const attempt = (body: () => void) => {
    try {
      body();
    } catch (error) {
      problems.push(error);
    }
  };
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      attempt(() => take(entry, entries));
      entry.resume();
    },
  });
  parser.on('ignoredEntry', (entry: ReadEntry) => {
    attempt(() => refuse(entry, `its type is ${entry.type}`));
    entry.resume();
  });
  parser.on('error', (error: Error) => problems.push(new ArchiveError(`damaged: ${oneLine(error.message)}`)));
  parser.end(archive);
  if (problems.length > 0) throw problems[0];
  if (entries.files.size === 0) throw new ArchiveError('it is not a tar archive with files');
  return entries;
}

function take(entry: ReadEntry, { files, links }: Entries): void {
  const path = pathWithin(entry, entry.path);
  const { type, mode = 0, linkpath = '' } = entry;
  if (DIRECTORIES.includes(type)) return;
  if (!FILES.includes(type) && !LINKS.includes(type)) refuse(entry, `its type is ${type}`);
  if ((mode & SPECIAL_BITS) !== 0) refuse(entry, `its mode is ${(mode & 0o7777).toString(8)}`);
  if (path === '.') refuse(entry, 'it has no name');
  if (files.has(path) || links.has(path)) refuse(entry, 'it is there twice');
  if (LINKS.includes(type)) {
    // A hard link is told from the root of the archive, a symbolic one from its own directory.
    const target = type === 'Link' || linkpath.startsWith('/') ? linkpath : posix.join(posix.dirname(path), linkpath);
    links.set(path, pathWithin(entry, target, `it leads to ${shown(linkpath)}, which`));
    return;
  }
  const pieces: Buffer[] = [];
  entry.on('data', (piece: Buffer) => pieces.push(piece));
  entry.on('end', () => files.set(path, Buffer.concat(pieces)));
  // The path is taken before its content has come.
  files.set(path, Buffer.alloc(0));
}

/** The normal, relative form of a path; the archive's own directory is `.`. */
function pathWithin(entry: ReadEntry, path: string, what = 'it'): string {
  if (path.startsWith('/') || path.split('/').includes('..')) refuse(entry, `${what} leaves the directory`);
  return posix.normalize(path).replace(/\/+$/, '') || '.';
}

function refuse(entry: ReadEntry, problem: string): never {
  throw new ArchiveError(`the entry ${shown(entry.path)} is refused: ${problem}`);
}

function contentBehind(path: string, files: ReadonlyMap<string, Buffer>, links: ReadonlyMap<string, string>): Buffer {
  let at: string | undefined = path;
  for (let count = 0; at !== undefined && count < LINKS_MAX; count++) {
    const content = files.get(at);
    if (content !== undefined) return content;
    at = links.get(at);
  }
  throw new ArchiveError(`the link ${shown(path)} is refused: it leads to no file of the archive`);
}
