// SPDX-License-Identifier: Apache-2.0

/**
 * The places that a run writes, checked before anything is built, and without writing anything: minutes of compiling must
 * not end at a directory that is read-only, full, or a file. Private ones are real, of one user, and closed to others.
 */

import { accessSync, constants, lchownSync, lstatSync, mkdirSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Problems } from '../cli/problems.ts';
import type { Terminal } from '../cli/terminal.ts';
import { errnoOf, oneLine, reasonText, shown, usageError } from '../errors.ts';
import { keepWithMode, temporaryOf } from './atomic-write.ts';
import { asOwner, look, makeDirectory } from './ownership.ts';
import { ancestorsOf, orUsageError } from './paths.ts';

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
/** The system's own; only /dev/shm is for files of users. */
const OF_SYSTEM = /^\/dev(?!\/shm)\//;
const NO_PLACE = "it is the system's, and no place for files of users; name another one";
/** The types of /proc, /sys and cgroups (statfs(2)), where root may write although nothing is kept. */
const KERNEL_TYPES = [0x9fa0, 0x62656572, 0x63677270];
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it is a link to something that does not exist; remove it',
  ENOTDIR: 'it is not a directory; remove it',
};

/** Checks places, each obstacle once. @throws usageError for the last one; the others are printed */
export function verifyPlaces(terminal: Terminal, places: readonly Place[]): void {
  const problems = new Problems();
  notePlaces(problems, places);
  problems.throwIfAny(terminal);
}

/** The same for a collection of problems. */
export function notePlaces(problems: Problems, places: readonly Place[]): void {
  const seen = new Set<string>();
  for (const place of places) {
    const found = obstacleOf(place);
    if (found === undefined || seen.has(found.at)) continue;
    seen.add(found.at);
    problems.attempt(() => refuse(place, found));
  }
}

/** @throws usageError naming what is in the way, and why */
export function verifyPlace(place: Place): void {
  const found = obstacleOf(place);
  if (found !== undefined) refuse(place, found);
}

function refuse({ path, remedy }: Place, { at, reason }: NonNullable<ReturnType<typeof obstacleOf>>): never {
  const because = at === path ? '' : ` because of ${at}`;
  const otherwise = remedy === undefined ? '' : `, or ${remedy}`;
  throw usageError(oneLine(`${path} cannot be written${because}: ${reason}${otherwise}`));
}

/** What is in the way of a place, and where. */
function obstacleOf({ kind, path }: Place) {
  const reason = pathReason(kind, path);
  if (reason !== undefined) return { at: path, reason };
  return kind === 'appended' && look(path) !== undefined
    ? undefined
    : directoryObstacle(kind === 'directory' ? path : dirname(path));
}

/** Why the path, or what is there, is in the way. */
function pathReason(kind: Place['kind'], path: string): string | undefined {
  const isNew = kind === 'directory' || kind === 'file';
  if (isNew && OF_SYSTEM.test(path)) return NO_PLACE;
  // A file that is replaced has a longer name for a moment.
  const longest = kind === 'file' ? temporaryOf(path) : path;
  const isLong = longest.split('/').some((name) => Buffer.byteLength(name) > NAME_MAX);
  if (isLong || codeOf(() => lstatSync(longest)) === 'ENAMETOOLONG') return reasonText('ENAMETOOLONG');
  if (kind === 'directory') return undefined;
  const [found, target] = [look(path), look(path, statSync)];
  if (target?.isDirectory()) return reasonText('EISDIR');
  if (kind === 'appended') {
    if (found !== undefined) return accessReason(path, constants.W_OK);
    return look(dirname(path), statSync) === undefined ? 'its directory does not exist; create it' : undefined;
  }
  const isOther = (kind === 'opened' ? found : target)?.isFile() === false;
  return isOther ? 'it is a link or not a regular file; remove it' : undefined;
}

/** What is in the way of writing into a directory, or of creating it: the nearest thing that exists says so. */
function directoryObstacle(directory: string) {
  const at = ancestorsOf(directory).find((path) => look(path) !== undefined) ?? directory;
  // With the slash, only a directory is found.
  const reason = accessReason(`${at}/`, constants.W_OK | constants.X_OK) ?? fullness(at);
  return reason === undefined ? undefined : { at, reason };
}

function accessReason(path: string, mode: number): string | undefined {
  const code = codeOf(() => accessSync(path, mode));
  return code && (REASONS[code] ?? reasonText(code));
}

/** Why nothing can be created on the file system of a directory. */
function fullness(directory: string): string | undefined {
  const { bavail, bfree, blocks, ffree, files: inodes, type } = statfsSync(directory);
  if (KERNEL_TYPES.includes(type)) return NO_PLACE;
  const free = process.geteuid?.() === 0 ? bfree : bavail;
  // Zero of zero is what a file system says that does not count.
  if (blocks > 0 && free === 0) return reasonText('ENOSPC');
  return inodes > 0 && ffree === 0 ? 'no more files fit on the file system; remove some (ENOSPC)' : undefined;
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

/**
 * Checks that a directory for keys, databases and sandbox disks, which `source` names, can be used or created.
 * @throws usageError for a link, a file, a directory of another user, or a path that cannot be looked at or written to
 */
export function verifyPrivateDirectory(source: string, path: string, owners: readonly number[]): void {
  verifyFound(source, path, owners);
  verifyPlace({ kind: 'directory', path, remedy: `set ${source} to another directory` });
}

/** Creates the directory with mode 0700, or narrows the one that exists. @throws usageError as `verifyPrivateDirectory` */
export function makePrivateDirectory(source: string, path: string, owners: readonly number[]): void {
  orUsageError(unusable(source, path), () => {
    if (look(path) !== undefined) return;
    makeDirectory(dirname(path));
    // Exclusive: between looking and creating, another user could have put a link here.
    asOwner(dirname(path), () => mkdirSync(path, 0o700));
    // A new one is this user's where its owner may not be that of the directory around it.
    if (!owners.includes(lstatSync(path).uid)) lchownSync(path, process.geteuid?.() ?? 0, process.getegid?.() ?? 0);
  });
  verifyFound(source, path, owners);
  keepWithMode(path, 0o700);
}

function unusable(source: string, path: string): string {
  return `${source} is ${shown(path)}, which cannot be used; set it to another directory`;
}

function verifyFound(source: string, path: string, owners: readonly number[]): void {
  const found = orUsageError(unusable(source, path), () => lstatSync(path, { throwIfNoEntry: false }));
  if (found === undefined) return;
  let wrong: string | undefined;
  if (found.isSymbolicLink()) wrong = 'a link';
  else if (!found.isDirectory()) wrong = 'not a directory';
  else if (!owners.includes(found.uid)) wrong = `a directory of another user (uid ${found.uid})`;
  // Narrowed, as `/tmp` it would be lost to everybody else.
  else if ((found.mode & 0o002) !== 0) wrong = 'a directory that all users may write to';
  if (wrong === undefined) return;
  throw usageError(
    `${source} is ${shown(path)}, which is ${wrong}; allowed is a directory of your own; remove it or set another one`,
  );
}

/** Who may own a private directory: the user of this process, and under sudo also the user who called it. */
export function ownersOf(invokerUid: number | undefined): number[] {
  return [process.geteuid?.() ?? 0, ...(invokerUid === undefined ? [] : [invokerUid])];
}
