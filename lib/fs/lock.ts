// SPDX-License-Identifier: Apache-2.0

/**
 * One run at a time in the same place; the others are told which one has it.
 *
 * The record of the holder (pid, start, task) counts only while that very process lives, so a SIGKILL leaves nothing to
 * clean up. Reading and writing the record is serialised by a lock of the kernel, which SQLite takes for us and which
 * ends with its process.
 */

import { rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Terminal } from '../cli/terminal.ts';
import { EXIT, failure, oneLine } from '../errors.ts';
import { isSameProcess, type ProcessIdentity, thisProcess } from '../process/identity.ts';
import { poll } from '../process/poll.ts';
import type { Signals } from '../process/signals.ts';
import { makeDirectory, takeDirectoryOwner } from './ownership.ts';
import { parseTable } from './parse-json.ts';
import { textIn } from './paths.ts';

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
 * Runs a body while no other process runs one for the same path; waits for one that does, and says so once.
 * @param path a file of ours in a directory that stays; `path` and `path.db` are used
 * @param task what the body does, for the others
 * @param other what the others do, for this user: `another staging in this checkout`
 * @throws InterruptedError when a signal ends the waiting
 */
export async function whileLocked<T>(
  { signals, terminal }: { readonly signals: Signals; readonly terminal: Terminal },
  { path, task, other }: { readonly path: string; readonly task: string; readonly other: string },
  body: () => Promise<T>,
): Promise<T> {
  let told = false;
  const attempt = async () => {
    const holder = await tryLock(path, task);
    if (holder === undefined) return true;
    if (!told) terminal.say(`waiting for ${other}: ${holderText(holder)}`);
    told = true;
    return undefined;
  };
  await poll(attempt, { intervalMs: POLL_MS, signal: signals.aborted });
  try {
    return await body();
  } finally {
    await release(path);
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
    // Read and written only inside `serialised`, and of no use after a power cut: no rename, no fsync.
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
  const holder = parseTable(textIn(path) ?? '') as Partial<Holder> | undefined;
  // Signal 0 to the pids 0 and below asks about groups, and succeeds: such a record would be held for ever.
  const isRecord = Number.isSafeInteger(holder?.pid) && Number(holder?.pid) > 0 && typeof holder?.task === 'string';
  return isRecord ? (holder as Holder) : undefined;
}

/**
 * Runs a short synchronous body while no other process runs one for the same path.
 * @throws failure where the system does not give the lock
 */
async function serialised<T>(path: string, body: () => T): Promise<T> {
  const attempt = () => {
    const database = openDatabase(path);
    try {
      database.exec('BEGIN EXCLUSIVE');
      takeDirectoryOwner(`${path}.db`);
      return { value: body() };
    } catch (error) {
      if (/database is locked/.test((error as Error).message)) return undefined;
      throw isSqlite(error) ? unusable(path, error) : error;
    } finally {
      database.close();
    }
  };
  const done = await poll(attempt, { intervalMs: BUSY_POLL_MS });
  return (done as { value: T }).value;
}

function openDatabase(path: string): DatabaseSync {
  try {
    return new DatabaseSync(`${path}.db`, { timeout: 0 });
  } catch (error) {
    throw unusable(path, error);
  }
}

function isSqlite(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_SQLITE_ERROR';
}

function unusable(path: string, cause: unknown) {
  return failure(`the lock ${path}.db cannot be used; check its directory and remove the file`, EXIT.failed, { cause });
}
