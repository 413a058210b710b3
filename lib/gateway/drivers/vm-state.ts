// SPDX-License-Identifier: Apache-2.0

/** Where the VM driver keeps sandbox disks and its socket: a path that is the same after a restart. */

import { join } from 'node:path';
import { type Environment, readPath, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';

const SOURCE = 'OPENSHELL_VM_DRIVER_STATE_DIR';

/** What the path of a Unix socket may have, in bytes, the end mark not counted (unix(7); unix(4) on macOS). */
const SOCKET_PATH_MAX = { darwin: 103, other: 107 } as const;

export interface DriverState {
  /** Absolute. */
  readonly directory: string;
  /** The variable that names it, for errors. */
  readonly source: string;
}

/**
 * The directory: `OPENSHELL_VM_DRIVER_STATE_DIR`, else one below `OPENSHELL_VM_DRIVER_STATE_ROOT` that carries the
 * user's and the gateway's name.
 */
export function driverState(env: Environment, startDirectory: string, name: string): DriverState {
  const named = readPath(env, SOURCE, startDirectory);
  if (named !== undefined) return { directory: named, source: SOURCE };
  const root = readPath(env, 'OPENSHELL_VM_DRIVER_STATE_ROOT', startDirectory);
  const label = name.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  const user = textOf(env, 'USER') ?? 'user';
  return { directory: join(root, `openshell-vm-driver-${user}-${label}`), source: SOURCE };
}

/**
 * Checks that the driver's socket can have its path.
 * @throws usageError with the length that is allowed
 */
export function verifySocketPath({ directory, source }: DriverState, platform: NodeJS.Platform): void {
  const max = SOCKET_PATH_MAX[platform === 'darwin' ? 'darwin' : 'other'];
  const length = Buffer.byteLength(join(directory, 'run', 'compute-driver.sock'));
  if (length <= max) return;
  throw usageError(
    `${source} is ${shown(directory)}: its socket's path would have ${length} bytes, and ${max} are allowed; set it to a shorter one`,
  );
}
