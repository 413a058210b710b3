// SPDX-License-Identifier: Apache-2.0

/**
 * One run at a time in the same place; the others are told which one has it.
 *
 * What counts is the kernel's lock on the open file (flock(2)), which ends with the last process that has the file open,
 * and holds across pid namespaces and containers of one host. The text in the file says who that is, for users only. The
 * file stays: a lock on a file that another run has removed would lock nothing.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import type { Terminal } from '../cli/terminal.ts';
import { EXIT, errnoOf, failure, missingPackage, oneLine, TaskError, usageError } from '../errors.ts';
import { isSameProcess, type ProcessIdentity, pidNamespace, thisProcess } from '../process/identity.ts';
import { poll } from '../process/poll.ts';
import type { Signals } from '../process/signals.ts';
import { asOwner, makeDirectory } from './ownership.ts';
import { parseTable } from './parse-json.ts';

const POLL_MS = 100;
const ATTEMPTS_UNTOLD = 5;
/** Another launch that only looks holds the lock for a moment. */
const LOOK_TIMEOUT_MS = 300;
const RECORD_BYTES_MAX = 4096;
/** Never through a link, and never waiting for the other end of a pipe. */
const OPEN_FLAGS = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What is locked: a file of ours in a directory that stays. */
export interface LockedPlace {
  readonly path: string;
  /** What a user can set where the file cannot be locked: `set OPENSHELL_ROOT to another checkout`. */
  readonly remedy: string;
}

/** Who holds a lock, and what it does, for users. */
export interface Holder extends ProcessIdentity {
  readonly task: string;
  /** An ISO 8601 time. */
  readonly since: string;
  readonly host: string;
  /** Which pid namespace its pid is of; `undefined` on systems without them. */
  readonly namespace?: string | undefined;
}

/** Another process has the lock; `undefined` where it has not said who it is. */
export interface Held {
  readonly holder: Holder | undefined;
}

/** A held lock; `release` it in a `finally`. */
export interface Lock {
  /** Leaves the lock to the program that replaces this process. */
  keepOnExec(): Promise<void>;
  /** @throws failure where its file was removed, or replaced: another run may have begun */
  verifyHeld(): void;
  /** A second call does nothing. */
  release(): void;
}

/**
 * Runs a body while no other process runs one for the same file; waits for one that does, and says so once.
 * @param task what the body does, for the others
 * @param other what the others do, for this user: `another staging in this checkout`
 * @throws InterruptedError when a signal ends the waiting, usageError where the file cannot be locked
 */
export async function whileLocked<T>(
  { signals, terminal }: { readonly signals: Signals; readonly terminal: Terminal },
  { task, other, ...place }: LockedPlace & { readonly task: string; readonly other: string },
  body: (lock: Lock) => Promise<T>,
): Promise<T> {
  let told = false;
  let attempts = 0;
  const attempt = async () => {
    const taken = await tryLock(place, task);
    if ('release' in taken) return taken;
    attempts++;
    // Who has just taken it says next who that is.
    if (told || (taken.holder === undefined && attempts < ATTEMPTS_UNTOLD)) return undefined;
    terminal.say(`waiting for ${other}: ${holderText(taken)}`);
    told = true;
    return undefined;
  };
  const lock = (await poll(attempt, { intervalMs: POLL_MS, signal: signals.aborted })) as Lock;
  try {
    return await body(lock);
  } finally {
    lock.release();
  }
}

/** Takes a lock, or says who holds it. @throws usageError where the file cannot be locked */
export async function takeLock(place: LockedPlace, task: string): Promise<Lock | Held> {
  let taken: Lock | Held = { holder: undefined };
  const attempt = async () => {
    taken = await tryLock(place, task);
    return 'release' in taken ? taken : undefined;
  };
  await poll(attempt, { intervalMs: POLL_MS / 4, timeoutMs: LOOK_TIMEOUT_MS });
  return taken;
}

/** Who holds a lock; `undefined` where it is free. @throws usageError where the file cannot be locked */
export async function whoHolds(place: LockedPlace): Promise<Held | undefined> {
  let held: Held | undefined;
  const attempt = async () => {
    held = await look(place);
    // Who has just taken it says next who that is.
    return held !== undefined && held.holder === undefined ? undefined : true;
  };
  await poll(attempt, { intervalMs: POLL_MS / 4, timeoutMs: LOOK_TIMEOUT_MS });
  return held;
}

async function look(place: LockedPlace): Promise<Held | undefined> {
  let handle: number;
  try {
    handle = openSync(place.path, constants.O_RDONLY | OPEN_FLAGS);
  } catch (error) {
    // The directory of the file is not this function's to judge.
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw unusable(place, error);
  }
  try {
    verifyFile(place, fstatSync(handle));
    // A shared lock is taken only to see whether an exclusive one is held.
    return (await flock(place, handle, 'shnb')) ? undefined : { holder: readHolder(handle) };
  } finally {
    closeSync(handle);
  }
}

/** A holder for users: `pid 123 (stage supervisor, since 12:00:01)`. */
export function holderText({ holder }: Held): string {
  if (holder === undefined) return 'a process that has not said which';
  const { host, namespace, pid, since, task } = holder;
  const isHere = host === hostname() && namespace === pidNamespace();
  const where = host === hostname() ? ' of another container' : ` on ${host}`;
  const what = `pid ${pid}${isHere ? '' : where} (${task}, since ${new Date(since).toLocaleTimeString('en-GB')})`;
  const hasEnded = isHere && !isSameProcess(holder);
  return oneLine(hasEnded ? `a process that was started by ${what} and has outlived it` : what);
}

async function tryLock(place: LockedPlace, task: string): Promise<Lock | Held> {
  const { path } = place;
  const handle = openLockFile(place);
  let isTaken = false;
  try {
    if (!(await flock(place, handle, 'exnb'))) return { holder: readHolder(handle) };
    isTaken = isStillThere(path, handle);
  } finally {
    if (!isTaken) closeSync(handle);
  }
  if (!isTaken) return tryLock(place, task);
  writeHolder(handle, task);
  return {
    // FD_CLOEXEC off (fcntl(2)).
    keepOnExec: async () => void (await loadLocks()).fcntlSync(handle, 'setfd', 0),
    verifyHeld: () => {
      if (isStillThere(path, handle)) return;
      throw failure(`${path} was removed while it kept other runs away, and one may have begun; start this again`);
    },
    release: () => {
      // Closed twice, the number could be that of another file by now.
      if (isTaken) closeSync(handle);
      isTaken = false;
    },
  };
}

function openLockFile(place: LockedPlace): number {
  const { path } = place;
  let handle: number | undefined;
  try {
    makeDirectory(dirname(path));
    // Links of another user on the way lead root nowhere else.
    return asOwner(path, () => {
      handle = openSync(path, constants.O_RDWR | constants.O_CREAT | OPEN_FLAGS, 0o644);
      const file = fstatSync(handle);
      verifyFile(place, file);
      shareLikeDirectory(handle, file, dirname(path));
      return handle;
    });
  } catch (error) {
    if (handle !== undefined) closeSync(handle);
    throw unusable(place, error);
  }
}

/** What is not a plain file, or has another name elsewhere, is not ours to write to. */
function verifyFile(place: LockedPlace, file: Stats): void {
  const wrong = !file.isFile() ? 'is not a file' : file.nlink > 1 ? 'is a hard link' : undefined;
  if (wrong !== undefined) throw usageError(`the lock ${place.path} ${wrong}; remove it`);
}

/** Who may write to the directory may write to a file of ours, a group included. */
function shareLikeDirectory(handle: number, file: Stats, directory: string): void {
  if (file.uid !== process.geteuid?.()) return;
  const { gid, mode } = statSync(directory);
  const wanted = 0o644 | (mode & 0o022);
  if ((file.mode & 0o777) !== wanted) fchmodSync(handle, wanted);
  if ((mode & 0o020) !== 0 && file.gid !== gid && process.getgroups?.().includes(gid)) {
    fchownSync(handle, file.uid, gid);
  }
}

/** @throws usageError at once where the file system does not lock, as on some network shares */
async function flock(place: LockedPlace, handle: number, flags: 'exnb' | 'shnb'): Promise<boolean> {
  const { flockSync } = await loadLocks();
  try {
    flockSync(handle, flags);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    // EWOULDBLOCK has the value of EAGAIN on Linux and macOS.
    if (code === 'EAGAIN') return false;
    if (code === undefined) throw error;
    throw usageError(
      `the lock ${place.path} cannot be taken: its file system gives no lock (${code}); ${place.remedy}`,
    );
  }
}

/** Node has no call for locks. @throws usageError where the package has no binary for this machine and Node */
async function loadLocks(): Promise<typeof import('fs-ext-extra-prebuilt')> {
  try {
    return await import('fs-ext-extra-prebuilt');
  } catch (cause) {
    if (missingPackage(cause) !== undefined) throw cause;
    throw usageError('files cannot be locked here; take Node 24, or run: npm rebuild fs-ext-extra-prebuilt', { cause });
  }
}

/** Whether the locked file is the one that others open; a removed file would keep nobody out. */
function isStillThere(path: string, handle: number): boolean {
  const now = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  const locked = fstatSync(handle, { bigint: true });
  return now?.ino === locked.ino && now.dev === locked.dev;
}

/** Only others read it, so a full disk is no reason to stop. */
function writeHolder(handle: number, task: string): void {
  const own = { ...thisProcess(), task, since: new Date().toISOString() };
  const mine: Holder = { ...own, host: hostname(), namespace: pidNamespace() };
  try {
    ftruncateSync(handle);
    writeSync(handle, `${JSON.stringify(mine)}\n`, 0);
  } catch {}
}

function readHolder(handle: number): Holder | undefined {
  const bytes = Buffer.alloc(RECORD_BYTES_MAX);
  const record = parseTable(bytes.toString('utf8', 0, readSync(handle, bytes, 0, bytes.length, 0))) ?? {};
  const { pid, task, since, host } = record;
  const isHolder = Number.isSafeInteger(pid) && Number(pid) > 0;
  return isHolder && [task, since, host].every((text) => typeof text === 'string')
    ? (record as unknown as Holder)
    : undefined;
}

function unusable({ path, remedy }: LockedPlace, cause: unknown) {
  const isReady = cause instanceof TaskError ? cause.exitCode === EXIT.usage : errnoOf(cause) === undefined;
  return isReady ? cause : usageError(`the lock ${path} cannot be used; remove it, or ${remedy}`, { cause });
}
