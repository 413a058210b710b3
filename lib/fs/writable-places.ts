// SPDX-License-Identifier: Apache-2.0

/**
 * The places that a run writes, checked before anything is built: minutes of compiling must not end at a directory that
 * is read-only, full, or a file. Nothing is written to find that out.
 */

import { accessSync, constants, lstatSync, realpathSync, type Stats, statfsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Problems } from '../cli/problems.ts';
import type { Terminal } from '../cli/terminal.ts';
import { errnoOf, oneLine, reasonText, usageError } from '../errors.ts';
import { temporaryOf } from './atomic-write.ts';
import { isOfOther, ownerOf } from './ownership.ts';
import { ancestorsOf } from './paths.ts';

/**
 * What is written:
 * - `directory`: it is created, and written into
 * - `file`: it is replaced whole; a link to a file is replaced itself, and anything else but a file stays
 * - `opened`: it is opened where it is, and has to be a file of its own
 * - `appended`: it belongs to others, and may be a link or a device
 */
export interface Place {
  readonly kind: 'directory' | 'file' | 'opened' | 'appended';
  /** Absolute. */
  readonly path: string;
  /** What the user can do besides what the reason says: `set X to another directory`. */
  readonly remedy?: string;
}

/** Files that are replaced whole. */
export function files(...paths: readonly string[]): Place[] {
  return paths.map((path) => ({ kind: 'file', path }));
}

/** The longest name in a directory of the usual file systems, in bytes. */
const NAME_MAX = 255;
/** File systems of the kernel, which hold no files of users (linux/magic.h: proc, sysfs, cgroup, cgroup2). */
const KERNEL_TYPES = [0x9fa0, 0x62656572, 0x27e0eb, 0x63677270];

/** What is in the way of a place: where, and why. */
interface Obstacle {
  readonly at: string;
  readonly reason: string;
}

/**
 * Checks places, each obstacle once.
 * @throws usageError for the last one; the others are printed
 */
export function verifyPlaces(terminal: Terminal, places: readonly Place[]): void {
  const problems = new Problems();
  notePlaces(problems, places);
  problems.throwIfAny(terminal);
}

/** The same where other problems are collected, too. */
export function notePlaces(problems: Problems, places: readonly Place[]): void {
  const seen = new Set<string>();
  for (const place of places) {
    const found = obstacleOf(place);
    if (found === undefined || seen.has(found.at)) continue;
    seen.add(found.at);
    problems.attempt(() => {
      throw refusal(place, found);
    });
  }
}

/** @throws usageError naming what is in the way, and why */
export function verifyPlace(place: Place): void {
  const found = obstacleOf(place);
  if (found !== undefined) throw refusal(place, found);
}

function refusal({ path, remedy }: Place, { at, reason }: Obstacle) {
  const because = at === path ? '' : ` because of ${at}`;
  return usageError(
    oneLine(`${path} cannot be written${because}: ${reason}${remedy === undefined ? '' : `, or ${remedy}`}`),
  );
}

function obstacleOf({ kind, path }: Place): Obstacle | undefined {
  if (kind === 'directory') return longName(path) ?? directoryObstacle(path);
  if (kind === 'file' && isDevicePath(path)) return { at: path, reason: `${REPLACED}; name another file` };
  const found = look(path);
  const own = found === undefined ? undefined : fileObstacle(kind, path, found);
  if (own !== undefined || (kind === 'appended' && found !== undefined)) return own;
  return longName(path, kind === 'file' ? temporaryOf(path) : path) ?? directoryObstacle(dirname(path));
}

/**
 * A name that only a directory which does not exist yet would refuse.
 * @param longest the longest path of the file, which has another name while it is written
 */
function longName(path: string, longest = path): Obstacle | undefined {
  const isLong = longest.split('/').some((name) => Buffer.byteLength(name) > NAME_MAX);
  return isLong || codeOf(() => lstatSync(longest)) === 'ENAMETOOLONG'
    ? { at: path, reason: reasonText('ENAMETOOLONG') }
    : undefined;
}

function fileObstacle(kind: Place['kind'], path: string, found: Stats): Obstacle | undefined {
  if (found.isDirectory()) return { at: path, reason: reasonText('EISDIR') };
  if (kind === 'file' && !found.isFile()) {
    // Behind the link may be what the whole machine uses: /dev/stdout is one.
    const target = found.isSymbolicLink() ? targetOf(path) : found;
    if (target?.isFile() === false) {
      const what = target === found ? REPLACED : 'it is a link to something that is not a regular file';
      return { at: path, reason: `${what}; remove it` };
    }
  }
  if (kind === 'opened' && !found.isFile()) {
    return { at: path, reason: `it is ${found.isSymbolicLink() ? 'a link' : 'not a regular file'}; remove it` };
  }
  if (kind !== 'appended') return undefined;
  const code = codeOf(() => {
    if (statSync(path).isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR', syscall: 'stat' });
    accessSync(path, constants.W_OK);
  });
  return code === undefined ? undefined : { at: path, reason: code === 'ENOENT' ? DANGLING : reasonText(code) };
}

/** What a link leads to; `undefined` where it leads nowhere. */
function targetOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Names there are the system's, also that of a link to a regular file; only /dev/shm is for files of users. */
function isDevicePath(path: string): boolean {
  const directory = ancestorsOf(dirname(path)).find((one) => targetOf(one) !== undefined) ?? '/';
  return /^\/dev\/(?!shm\/)/.test(join(realpathSync(directory), '/'));
}

const REPLACED = 'it is a device, a pipe or a socket, which a file would replace';
const DANGLING = 'it is a link to something that does not exist; remove it';

/** What is in the way of writing into a directory, or of creating it: the nearest thing that exists says so. */
function directoryObstacle(directory: string): Obstacle | undefined {
  const at = ancestorsOf(directory).find((path) => look(path) !== undefined) ?? directory;
  const code = codeOf(() => {
    // With the slash, only a directory is found.
    accessSync(`${at}/`, constants.W_OK | constants.X_OK);
  });
  if (code === 'ENOENT') return { at, reason: DANGLING };
  if (code === 'ENOTDIR') return { at, reason: 'it is not a directory; remove it' };
  if (code !== undefined || !mayOwnerWrite(at)) return { at, reason: reasonText(code ?? 'EACCES') };
  const reason = fullness(at);
  return reason === undefined ? undefined : { at, reason };
}

/** Root writes into another user's directory as that user, of whom access(2) says nothing: the bits have to. */
function mayOwnerWrite(directory: string): boolean {
  const owner = isOfOther(directory) ? ownerOf(directory)?.stats : undefined;
  if (owner === undefined) return true;
  const { gid, mode, uid } = statSync(directory);
  const wanted = uid === owner.uid ? 0o300 : gid === owner.gid ? 0o030 : 0o003;
  return (mode & wanted) === wanted;
}

/** Why nothing can be created on the file system of a directory; `undefined` where it does not say so. */
export function fullness(directory: string): string | undefined {
  try {
    const { bavail, bfree, blocks, ffree, files: inodes, type } = statfsSync(directory);
    if (KERNEL_TYPES.includes(type)) return 'it belongs to the kernel, and holds no files of users; use another one';
    const free = process.geteuid?.() === 0 ? bfree : bavail;
    // Zero of zero is what a file system says that does not count.
    if (blocks > 0 && free === 0) return reasonText('ENOSPC');
    return inodes > 0 && ffree === 0 ? 'no more files fit on the file system; remove some (ENOSPC)' : undefined;
  } catch {
    return undefined;
  }
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // What is above it says why.
    return undefined;
  }
}

/** The code of the error of the operating system that a body throws. */
function codeOf(body: () => void): string | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? 'EIO';
  }
}
