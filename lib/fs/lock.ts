// SPDX-License-Identifier: Apache-2.0

/**
 * One at a time in the same place, told who is in the way.
 *
 * The record of the holder (pid, start, task) outlives nobody: it counts only while that very
 * process lives, so a SIGKILL leaves nothing to clean up. Reading and writing the record is
 * serialised by a lock of the kernel, which SQLite takes for us and which ends with its process.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { oneLine } from '../errors.ts';
import { isSameProcess, type ProcessIdentity, thisProcess } from '../process/identity.ts';
import type { Signals } from '../process/signals.ts';
import { makeDirectory, takeDirectoryOwner } from './ownership.ts';

const POLL_MS = 100;
const BUSY_POLL_MS = 5;

/** Who holds a lock. */
export interface Holder extends ProcessIdentity {
  /** What it does, for users. */
  readonly task: string;
  /** When it took the lock, as an ISO 8601 time. */
  readonly since: string;
}

/** A held lock; `release` it in a `finally`. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes a lock; where another process holds it, says so once and waits.
 *
 * @param path a file of ours in a directory that stays; `path` and `path.db` are used
 * @param onWait called once with the holder, where there is one
 * @throws TaskError when a signal arrives meanwhile
 */
export async function waitForLock(
  path: string,
  task: string,
  signals: Signals,
  onWait: (holder: Holder) => void,
): Promise<Lock> {
  for (let told = false; ; ) {
    const holder = await tryLock(path, task);
    if (holder === undefined) return { release: () => release(path) };
    if (!told) onWait(holder);
    told = true;
    await sleep(POLL_MS, undefined, { signal: signals.aborted }).catch(() => signals.throwIfReceived());
  }
}

/** Takes a lock, or gives the live process that holds it. */
export async function takeLock(path: string, task: string): Promise<Lock | Holder> {
  return (await tryLock(path, task)) ?? { release: () => release(path) };
}

/** The live process that holds a lock; `undefined` where it is free. */
export function lockHolder(path: string): Holder | undefined {
  const holder = readHolder(path);
  return holder !== undefined && isSameProcess(holder) ? holder : undefined;
}

async function tryLock(path: string, task: string): Promise<Holder | undefined> {
  makeDirectory(dirname(path));
  return serialised(path, () => {
    const holder = readHolder(path);
    if (holder !== undefined && isSameProcess(holder)) return holder;
    const mine: Holder = { ...thisProcess(), task, since: new Date().toISOString() };
    // Read and written by nobody outside of `serialised`, and of no use after a power cut: no rename, no fsync.
    writeFileSync(path, `${JSON.stringify(mine)}\n`);
    takeDirectoryOwner(path);
    return undefined;
  });
}

async function release(path: string): Promise<void> {
  await serialised(path, () => {
    const holder = readHolder(path);
    if (holder?.pid === process.pid) rmSync(path, { force: true });
  });
}

/** A holder for users: `pid 123 (stage supervisor, since 12:00:01)`. */
export function holderText(holder: Holder): string {
  return `pid ${holder.pid} (${oneLine(holder.task)}, since ${new Date(holder.since).toLocaleTimeString('en-GB')})`;
}

function readHolder(path: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Partial<Holder>;
    // Signal 0 to the pids 0 and below asks about groups, and succeeds: such a record would be held for ever.
    const isRecord = Number.isSafeInteger(holder.pid) && Number(holder.pid) > 0 && typeof holder.task === 'string';
    return isRecord ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** Runs a short synchronous body while no other process runs one for the same path. */
async function serialised<T>(path: string, body: () => T): Promise<T> {
  const { DatabaseSync } = await import('node:sqlite');
  for (;;) {
    const database = new DatabaseSync(`${path}.db`, { timeout: 0 });
    try {
      database.exec('BEGIN EXCLUSIVE');
      takeDirectoryOwner(`${path}.db`);
      return body();
    } catch (error) {
      if (!/database is locked/.test((error as Error).message)) throw error;
    } finally {
      database.close();
    }
    await sleep(BUSY_POLL_MS);
  }
}
