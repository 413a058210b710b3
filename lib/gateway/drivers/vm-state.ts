// SPDX-License-Identifier: Apache-2.0

/** Where the VM driver keeps sandbox disks and its socket: a path that is the same after a restart. */

import { join } from 'node:path';
import { type Environment, readPath, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';

/** The variable that names the directory. */
export const STATE_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_DIR';

/** The most bytes in the path of a Unix socket, the end mark not counted (unix(7); unix(4) on macOS). */
const SOCKET_PATH_MAX = { darwin: 103, other: 107 } as const;

/**
 * The directory, absolute: the variable's, else one below `OPENSHELL_VM_DRIVER_STATE_ROOT` that carries the user's and
 * the gateway's name.
 */
export function driverState(env: Environment, startDirectory: string, name: string): string {
  const root = readPath(env, 'OPENSHELL_VM_DRIVER_STATE_ROOT', startDirectory);
  const label = `${textOf(env, 'USER') ?? 'user'}-${name.replaceAll(/[^A-Za-z0-9._-]/g, '-')}`;
  return readPath(env, STATE_VARIABLE, startDirectory) ?? join(root, `openshell-vm-driver-${label}`);
}

/**
 * Checks that the driver's socket can have its path.
 * @throws usageError with the length that is allowed
 */
export function verifySocketPath(directory: string, platform: NodeJS.Platform): void {
  const max = SOCKET_PATH_MAX[platform === 'darwin' ? 'darwin' : 'other'];
  const length = Buffer.byteLength(join(directory, 'run', 'compute-driver.sock'));
  if (length <= max) return;
  throw usageError(
    `${STATE_VARIABLE} is ${shown(directory)}: its socket's path would have ${length} bytes, and ${max} are allowed; set it to a shorter one`,
  );
}
