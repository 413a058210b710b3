// SPDX-License-Identifier: Apache-2.0

/** Where the VM driver keeps sandbox disks and its socket: a path that is the same after a restart. */

import { type Dirent, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, readPath, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import type { Invoker } from '../../fs/ownership.ts';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../fs/writable-places.ts';

/** The variable that names the directory. */
export const STATE_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_DIR';

/** The most bytes in the path of a Unix socket, the end mark not counted (unix(7); unix(4) on macOS). */
const SOCKET_PATH_MAX = { darwin: 103, other: 107 } as const;

/** Where the driver's socket is, below its state. */
const SOCKET = ['run', 'compute-driver.sock'] as const;

/** What the driver itself creates in its state. */
const DRIVER_DIRECTORIES: readonly string[] = [SOCKET[0], 'images', 'overlay-templates', 'sandboxes'];

/** The lock of the state: another gateway's driver would take the socket away, and share the disks. */
export const STATE_LOCK = { source: STATE_VARIABLE, lock: '.driver.lock' } as const;

/**
 * The directory, absolute: the variable's, else one below `OPENSHELL_VM_DRIVER_STATE_ROOT` that carries the user's and
 * the gateway's name.
 */
export function driverState(env: Environment, startDirectory: string, name: string): string {
  const root = readPath(env, 'OPENSHELL_VM_DRIVER_STATE_ROOT', startDirectory);
  const label = `${textOf(env, 'USER') ?? 'user'}-${name}`.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  return readPath(env, STATE_VARIABLE, startDirectory) ?? join(root, `openshell-vm-driver-${label}`);
}

/**
 * Checks that the driver can use the directory.
 * @returns the directory
 * @throws usageError for one that cannot be used, or created
 */
export function verifyDriverState(directory: string, platform: NodeJS.Platform, invoker: Invoker | undefined): string {
  verifySocketPath(directory, platform);
  verifyPrivateDirectory(STATE_VARIABLE, directory, ownersOf(invoker?.uid));
  if (invoker !== undefined) verifyAdoptable(directory, invoker);
  return directory;
}

/**
 * Under sudo a directory of the user becomes root's with what is in it, so it may hold nothing but a driver's own.
 * @throws usageError naming what else is there
 */
function verifyAdoptable(directory: string, { uid, user }: Invoker): void {
  if (lstatSync(directory, { throwIfNoEntry: false })?.uid !== uid) return;
  const entries = readdirSync(directory, { withFileTypes: true });
  const isOwn = (entry: Dirent) =>
    entry.isDirectory() ? DRIVER_DIRECTORIES.includes(entry.name) : entry.isFile() && entry.name === STATE_LOCK.lock;
  const other = entries.find((entry) => !isOwn(entry));
  if (other === undefined) return;
  throw usageError(
    `${STATE_VARIABLE} is ${shown(directory)}, which holds ${shown(other.name)} of ${shown(user)} and would become ` +
      "root's; set it to a new directory",
  );
}

/**
 * Creates the directory. The driver takes none of another user than its own, so under sudo what is the user's becomes
 * root's.
 * @throws usageError as `verifyDriverState` does
 */
export function makeDriverState(directory: string, invoker: Invoker | undefined): void {
  makePrivateDirectory(STATE_VARIABLE, directory, ownersOf(invoker?.uid));
  if (invoker === undefined) return;
  verifyAdoptable(directory, invoker);
  for (const path of [directory, join(directory, SOCKET[0]), join(directory, ...SOCKET)]) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.uid === invoker.uid && (found.isDirectory() || found.isSocket())) lchownSync(path, 0, 0);
  }
}

/**
 * Checks that the driver finds a place for the runtime that it unpacks.
 * @throws usageError without one
 */
export function verifyDataHome(env: Environment): void {
  if (textOf(env, 'XDG_DATA_HOME') !== undefined || textOf(env, 'HOME') !== undefined) return;
  throw usageError('neither HOME nor XDG_DATA_HOME is set, and the VM driver unpacks its runtime there; set HOME');
}

/**
 * Checks that the driver's socket can have its path.
 * @throws usageError with the length that is allowed
 */
export function verifySocketPath(directory: string, platform: NodeJS.Platform): void {
  const max = SOCKET_PATH_MAX[platform === 'darwin' ? 'darwin' : 'other'];
  const length = Buffer.byteLength(join(directory, ...SOCKET));
  if (length <= max) return;
  throw usageError(
    `${STATE_VARIABLE} is ${shown(directory)}: its socket's path would have ${length} bytes, and ${max} are allowed; set it to a shorter one`,
  );
}
