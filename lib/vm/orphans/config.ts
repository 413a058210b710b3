// SPDX-License-Identifier: Apache-2.0

/** What a smoke test of the VM gateway's clean-up was asked for: the environment, checked, as one value. */

import { type Environment, notAllowed, readPath, readVariable } from '../../cli/env.ts';
import { temporaryRoot } from '../../fs/temporary-directory.ts';
import { parsePort } from '../../gateway/port.ts';
import { type Host, thisHost } from '../../host.ts';
import { runtimeDirectory } from '../runtime-files.ts';

/** Not that of a gateway that a user runs. */
const DEFAULT_PORT = '8091';
/** How long each step may take, in milliseconds. */
const LIMITS = { healthy: 60_000, sandbox: 120_000, gone: 15_000 };

export interface OrphansConfig {
  /** The checkout, absolute. */
  readonly root: string;
  readonly host: Host;
  /** Of the gateway; the next one is that of its health checks. */
  readonly port: number;
  /** What the driver embeds, absolute. */
  readonly runtime: string;
  /** `CARGO_TARGET_DIR`, absolute. */
  readonly targetDirectory: string | undefined;
  /** Where the temporary directory is created. */
  readonly temporary: string;
  readonly limits: typeof LIMITS;
}

/**
 * Resolves the configuration.
 * @throws usageError for any wrong value
 */
export function resolveOrphansConfig(env: Environment, root: string, startDirectory: string): OrphansConfig {
  const host = thisHost();
  const variable = 'OPENSHELL_SERVER_PORT';
  const text = readVariable(env, variable) ?? DEFAULT_PORT;
  const port = parsePort(variable, text);
  if (port > 65_534) throw notAllowed(variable, text, 'is a port up to 65534, because the next one is used as well');
  return {
    ...{ root, host, port, limits: LIMITS },
    runtime: runtimeDirectory(env, root, startDirectory),
    targetDirectory: readPath(env, 'CARGO_TARGET_DIR', startDirectory),
    // The driver's sockets are below it: on macOS `TMPDIR` is too long for them.
    temporary: host.platform === 'darwin' ? '/tmp' : temporaryRoot(),
  };
}
