// SPDX-License-Identifier: Apache-2.0

/** What a smoke test of the VM gateway's clean-up was asked for: the environment, checked, as one value. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { shown, usageError } from '../../errors.ts';
import { temporaryRoot } from '../../fs/temporary-directory.ts';
import { parsePort } from '../../gateway/port.ts';
import type { Host } from '../../host.ts';
import { runtimeDirectory } from '../config.ts';

/** Not that of a gateway that a user runs. */
const DEFAULT_PORT = '8091';
/** The most bytes in the path of a Unix socket (unix(7)). */
const SOCKET_PATH_MAX = 107;
/** The longest one, below the directory of the temporary files. */
const LONGEST_SOCKET = 'openshell-vm-orphan-XXXXXX/kill/state/run/compute-driver.sock';

/** How long each step may take, in milliseconds. */
export interface Limits {
  readonly healthy: number;
  readonly sandbox: number;
  readonly gone: number;
}

export interface OrphansConfig {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  readonly port: number;
  /** Of the health checks: the port after that of the gateway. */
  readonly healthPort: number;
  /** What the driver embeds, absolute. */
  readonly runtime: string;
  /** `CARGO_TARGET_DIR`, absolute; `undefined` where cargo's configuration decides. */
  readonly targetDirectory: string | undefined;
  /** Where the temporary directory is created. */
  readonly temporary: string;
  readonly limits: Limits;
}

/** This machine, or another one with shorter times, as values for tests. */
export interface OrphansFacts {
  readonly host: Host;
  readonly limits?: Partial<Limits>;
  /** Where the temporary directory is created. */
  readonly temporary?: string;
}

const LIMITS: Limits = { healthy: 60_000, sandbox: 120_000, gone: 15_000 };

/**
 * Resolves the configuration.
 * @throws usageError for any wrong value
 */
export function resolveOrphansConfig(
  env: Environment,
  root: string,
  startDirectory: string,
  { host, limits, temporary }: OrphansFacts,
): OrphansConfig {
  const variable = 'OPENSHELL_SERVER_PORT';
  const text = readVariable(env, variable) ?? DEFAULT_PORT;
  const port = parsePort(variable, text);
  if (port > 65_534) throw notAllowed(variable, text, 'is a port up to 65534, because the next one is used as well');
  return {
    root,
    host,
    port,
    healthPort: port + 1,
    runtime: runtimeDirectory(env, root, startDirectory),
    targetDirectory: readPath(env, 'CARGO_TARGET_DIR', startDirectory),
    temporary: temporary ?? temporaryPlace(host.platform),
    limits: { ...LIMITS, ...limits },
  };
}

/** The driver's sockets are below it: on macOS `TMPDIR` is too long for them. */
function temporaryPlace(platform: NodeJS.Platform): string {
  if (platform === 'darwin') return '/tmp';
  const directory = temporaryRoot();
  if (Buffer.byteLength(join(directory, LONGEST_SOCKET)) <= SOCKET_PATH_MAX) return directory;
  throw usageError(
    `temporary files belong in ${shown(tmpdir())}, and a socket below it may have ${SOCKET_PATH_MAX} bytes in its path; ` +
      'set TMPDIR to a shorter one',
  );
}
