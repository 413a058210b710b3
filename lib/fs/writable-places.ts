// SPDX-License-Identifier: Apache-2.0

/**
 * The places that a run writes, checked before anything is built: minutes of compiling must not end at a directory that
 * is read-only, full, or a file. Nothing is written to find that out.
 */

import { accessSync, constants, lstatSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Problems } from '../cli/problems.ts';
import type { Terminal } from '../cli/terminal.ts';
import { errnoOf, oneLine, reasonText, usageError } from '../errors.ts';
import { temporaryOf } from './atomic-write.ts';
import { look } from './ownership.ts';
import { ancestorsOf } from './paths.ts';

/**
 * What is written:
 * - `directory`: it is created, and written into
 * - `file`: it is replaced whole; a link to a file is replaced itself, and anything else but a file stays
 * - `opened`: it is opened where it is, and has to be a file of its own
 * - `appended`: it belongs to others, and may be a link or a device; its directory is there
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

const REPLACED = 'it is a device, a pipe or a socket, which a file would replace';
const DANGLING = 'it is a link to something that does not exist; remove it';

/** What is in the way of a place. */
interface Obstacle {
  readonly at: string;
  readonly reason: string;
}

/** Checks places, each obstacle once. @throws usageError for the last one; the others are printed */
export function verifyPlaces(terminal: Terminal, places: readonly Place[]): void {
  const problems = new Problems();
  notePlaces(problems, places);
  problems.throwIfAny(terminal);
}

/** The same where other problems are collected. */
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
  const found = look(path);
  const inPlace = kind === 'directory' ? undefined : fileReason(kind, path);
  if (inPlace !== undefined) return { at: path, reason: inPlace };
  if (kind === 'appended' && found !== undefined) return undefined;
  // A file that is replaced has a longer name for a moment.
  const longest = kind === 'file' ? temporaryOf(path) : path;
  const isLong = longest.split('/').some((name) => Buffer.byteLength(name) > NAME_MAX);
  if (isLong || codeOf(() => lstatSync(longest)) === 'ENAMETOOLONG') {
    return { at: path, reason: reasonText('ENAMETOOLONG') };
  }
  if (kind === 'appended' && look(dirname(path), statSync) === undefined) {
    return { at: path, reason: 'its directory does not exist; create it' };
  }
  return directoryObstacle(kind === 'directory' ? path : dirname(path));
}

/** Why what is at the path of a file is in the way. */
function fileReason(kind: Place['kind'], path: string): string | undefined {
  // Names there are the system's; only /dev/shm is for files of users.
  if (kind === 'file' && /^\/dev\/(?!shm\/)/.test(path)) return `${REPLACED}; name another file`;
  const found = look(path);
  if (found === undefined) return undefined;
  const target = look(path, statSync);
  if (target?.isDirectory()) return reasonText('EISDIR');
  if (kind === 'file' && target?.isFile() === false) return `${REPLACED}; remove it`;
  if (kind === 'opened' && found.isSymbolicLink()) return 'it is a link; remove it';
  if (kind === 'opened' && !found.isFile()) return 'it is not a regular file; remove it';
  if (kind !== 'appended') return undefined;
  if (target === undefined) return DANGLING;
  const code = codeOf(() => accessSync(path, constants.W_OK));
  return code && reasonText(code);
}

/** What is in the way of writing into a directory, or of creating it: the nearest thing that exists says so. */
function directoryObstacle(directory: string): Obstacle | undefined {
  const at = ancestorsOf(directory).find((path) => look(path) !== undefined) ?? directory;
  // With the slash, only a directory is found.
  const code = codeOf(() => accessSync(`${at}/`, constants.W_OK | constants.X_OK));
  if (code === 'ENOENT') return { at, reason: DANGLING };
  if (code === 'ENOTDIR') return { at, reason: 'it is not a directory; remove it' };
  const reason = code === undefined ? fullness(at) : reasonText(code);
  return reason === undefined ? undefined : { at, reason };
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

/** The code of the error of the operating system that a body throws. */
function codeOf(body: () => unknown): string | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    return errnoOf(error) ?? 'EIO';
  }
}
