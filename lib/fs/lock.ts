// SPDX-License-Identifier: Apache-2.0

/**
 * One run at a time in the same place. What counts is the kernel's lock on the open file (flock(2)): it ends with the
 * last process that has the file open, and holds across containers. The text in the file says who that is, for users.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import type { Terminal } from '../cli/terminal.ts';
import { errnoOf, failure, oneLine, usageError } from '../errors.ts';
import { pidNamespace } from '../process/identity.ts';
import { poll } from '../process/poll.ts';
import type { Signals } from '../process/signals.ts';
import { asOwner, look, makeDirectory } from './ownership.ts';
import { parseTable } from './parse-json.ts';
import { orUndefined, orUsageError } from './paths.ts';

const POLL_MS = 50;
/** Another run that only looks holds the lock for a moment, and who has just taken it says next who that is. */
const LOOK_TIMEOUT_MS = 200;
/** Never through a link, and never waiting for the other end of a pipe. */
const OPEN_FLAGS = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What is locked: a file of ours in a directory that stays. */
export interface LockedPlace {
  readonly path: string;
  /** What a user can set where the file cannot be locked: `set OPENSHELL_ROOT to another checkout`. */
  readonly remedy: string;
}

/** Which other process has a lock, and what for; empty where it has not said so. */
export interface Held {
  readonly pid?: number;
  readonly task?: string;
  /** An ISO 8601 time. */
  readonly since?: string;
  readonly host?: string;
  /** A container has pids of its own. */
  readonly namespace?: string | undefined;
}

/** A held lock; `release` it in a `finally`. */
export interface Lock {
  /** Leaves the lock to the program that replaces this process. */
  keepOnExec(): Promise<void>;
  /** @throws failure where its file was removed, or replaced: another run may have begun */
  verifyHeld(): void;
  /** Once: closed twice, the descriptor could be that of another file by now. */
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
  let lock = await takeLock(place, task);
  if (!('release' in lock)) terminal.say(`waiting for ${other}: ${holderText(lock)}`);
  while (!('release' in lock)) {
    signals.throwIfReceived();
    lock = await takeLock(place, task);
  }
  try {
    return await body(lock);
  } finally {
    lock.release();
  }
}

/** Takes a lock, or says who holds it. @throws usageError where the file cannot be locked */
export async function takeLock(place: LockedPlace, task: string): Promise<Lock | Held> {
  let taken: Lock | Held = {};
  const attempt = async () => {
    taken = await tryLock(place, task);
    return 'release' in taken || undefined;
  };
  await poll(attempt, { intervalMs: POLL_MS, timeoutMs: LOOK_TIMEOUT_MS });
  return taken;
}

/** Who holds a lock; `undefined` where it is free. @throws usageError where the file cannot be locked */
export async function whoHolds(place: LockedPlace): Promise<Held | undefined> {
  if (look(place.path) === undefined) return undefined;
  const handle = orUsageError(unusable(place), () => openSync(place.path, constants.O_RDONLY | OPEN_FLAGS));
  try {
    // A shared lock is taken only to see whether an exclusive one is held.
    return (await flock(place, handle, 'shnb')) ? undefined : readHolder(handle);
  } finally {
    closeSync(handle);
  }
}

/** A holder for users: `pid 123 (stage supervisor, since 12:00:01)`. */
export function holderText({ host, namespace, pid, since = '', task }: Held): string {
  if (pid === undefined) return 'a process that has not said which';
  const isHere = namespace === pidNamespace();
  const where = host !== hostname() ? ` on ${host}` : isHere ? '' : ' of another container';
  return oneLine(`pid ${pid}${where} (${task}, since ${new Date(since).toLocaleTimeString('en-GB')})`);
}

async function tryLock(place: LockedPlace, task: string): Promise<Lock | Held> {
  const { path } = place;
  const handle = openLockFile(place);
  let isTaken = false;
  try {
    if (!(await flock(place, handle, 'exnb'))) return readHolder(handle);
    isTaken = isStillThere(path, handle);
  } finally {
    if (!isTaken) closeSync(handle);
  }
  if (!isTaken) return tryLock(place, task);
  const own = { host: hostname(), namespace: pidNamespace() };
  writeHolder(handle, { pid: process.pid, task, since: new Date().toISOString(), ...own });
  return {
    // FD_CLOEXEC off (fcntl(2)).
    keepOnExec: async () => void (await loadLocks()).fcntlSync(handle, 'setfd', 0),
    verifyHeld: () => {
      if (isStillThere(path, handle)) return;
      throw failure(`${path} was removed while it kept other runs away, and one may have begun; start this again`);
    },
    release: () => closeSync(handle),
  };
}

/** Who may write to the directory may write to the file. What has another name elsewhere is not ours to write to. */
function openLockFile(place: LockedPlace): number {
  const { path } = place;
  const open = () => {
    const handle = openSync(path, constants.O_RDWR | constants.O_CREAT | OPEN_FLAGS, 0o644);
    const file = fstatSync(handle);
    if (!file.isFile() || file.nlink > 1) throw new Error('it is not a file of its own');
    if (file.uid === process.geteuid?.()) fchmodSync(handle, 0o644 | (statSync(dirname(path)).mode & 0o022));
    return handle;
  };
  return orUsageError(unusable(place), () => {
    makeDirectory(dirname(path));
    return asOwner(path, open);
  });
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
    throw usageError(
      `the lock ${place.path} cannot be taken: its file system gives no lock (${code}); ${place.remedy}`,
    );
  }
}

/** Node has no call for locks. @throws usageError where the package has no binary for this machine and Node */
async function loadLocks(): Promise<typeof import('fs-ext-extra-prebuilt')> {
  return import('fs-ext-extra-prebuilt').catch((cause) => {
    throw usageError('files cannot be locked here; take Node 24, or run: npm rebuild fs-ext-extra-prebuilt', { cause });
  });
}

/** Whether the locked file is the one that others open; a removed file would keep nobody out. */
function isStillThere(path: string, handle: number): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.ino === fstatSync(handle).ino;
}

/** Only others read it, so a full disk is no reason to stop. */
function writeHolder(handle: number, holder: Held): void {
  orUndefined(() => {
    ftruncateSync(handle);
    writeSync(handle, `${JSON.stringify(holder)}\n`, 0);
  });
}

function readHolder(handle: number): Held {
  return parseTable(readFileSync(handle, 'utf8')) ?? {};
}

function unusable({ path, remedy }: LockedPlace): string {
  return `the lock ${path} cannot be used; remove it, or ${remedy}`;
}
