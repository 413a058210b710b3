// SPDX-License-Identifier: Apache-2.0

/**
 * The kernel's lock on an open file, flock(2). It belongs to the open file, not to a pid: it ends with the last process
 * that has the file open, and holds across pid namespaces and containers of one host. Node has no call for it.
 */

import { errnoOf, missingPackage, usageError } from '../errors.ts';

/**
 * Takes the lock of an open file, or gives up at once.
 * @param kind a `shared` lock is taken only to see whether an exclusive one is held
 * @returns whether it was taken; otherwise another open file has it
 * @throws an error of the system where the file system has no locks
 */
export async function tryFlock(handle: number, kind: 'exclusive' | 'shared'): Promise<boolean> {
  const { flockSync } = await load();
  try {
    flockSync(handle, kind === 'exclusive' ? 'exnb' : 'shnb');
    return true;
  } catch (error) {
    // EWOULDBLOCK has the value of EAGAIN on Linux and macOS.
    if (errnoOf(error) === 'EAGAIN') return false;
    throw error;
  }
}

/** Leaves a file open, and its lock held, in the program that replaces this process (fcntl(2), FD_CLOEXEC). */
export async function keepOnExec(handle: number): Promise<void> {
  const { fcntlSync } = await load();
  fcntlSync(handle, 'setfd', 0);
}

/** @throws usageError where the package has no binary for this machine and Node */
async function load(): Promise<typeof import('fs-ext-extra-prebuilt')> {
  try {
    return await import('fs-ext-extra-prebuilt');
  } catch (cause) {
    if (missingPackage(cause) !== undefined) throw cause;
    throw usageError('files cannot be locked here; take Node 24, or run: npm rebuild fs-ext-extra-prebuilt', { cause });
  }
}
