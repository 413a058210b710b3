// SPDX-License-Identifier: Apache-2.0

/** Where the VM driver keeps sandbox disks and its socket: a path that is the same after a restart. */

import { join } from 'node:path';
import { type Environment, textOf } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { absolutePath } from '../../fs/paths.ts';
import { firstOf } from '../config.ts';

const DIRECTORY_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_DIR';
const ROOT_VARIABLE = 'OPENSHELL_VM_DRIVER_STATE_ROOT';

/** What the path of a Unix socket may have, in bytes, the end mark not counted (unix(7); unix(4) on macOS). */
const SOCKET_PATH_MAX = { darwin: 103, other: 107 } as const;

/**
 * The directory: `OPENSHELL_VM_DRIVER_STATE_DIR`, else one below `OPENSHELL_VM_DRIVER_STATE_ROOT` (or
 * `/tmp`) that carries the user's and the gateway's name.
 *
 * @returns what named it, and its absolute path
 */
export function driverStateDirectory(
  env: Environment,
  startDirectory: string,
  name: string,
): readonly [string, string] {
  const [source, named] = firstOf(env, [DIRECTORY_VARIABLE]);
  if (named !== undefined) return [source, absolutePath(startDirectory, named)];
  const root = absolutePath(startDirectory, textOf(env, ROOT_VARIABLE) ?? '/tmp');
  const label = name.replaceAll(/[^A-Za-z0-9._-]/g, '-');
  return [DIRECTORY_VARIABLE, join(root, `openshell-vm-driver-${textOf(env, 'USER') ?? 'user'}-${label}`)];
}

/**
 * Checks that the driver's socket can have its path.
 *
 * @throws usageError with the length that is allowed
 */
export function verifySocketPath(source: string, directory: string, platform: NodeJS.Platform): void {
  const max = SOCKET_PATH_MAX[platform === 'darwin' ? 'darwin' : 'other'];
  const socket = join(directory, 'run', 'compute-driver.sock');
  const length = Buffer.byteLength(socket);
  if (length <= max) return;
  throw usageError(
    `${source} is ${shown(directory)}: its socket's path would have ${length} bytes, and ${max} are allowed; set it to a shorter one`,
  );
}
