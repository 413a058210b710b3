// SPDX-License-Identifier: Apache-2.0

/**
 * The gateway's configuration as a typed value, serialised by a library: whatever a value holds, it stays that value
 * and does not become another key.
 */

import { join } from 'node:path';
import { usageError } from '../errors.ts';
import { type Change, writeWhole } from '../fs/atomic-write.ts';
import type { DriverName } from './drivers/names.ts';

/** How long a sandbox's token is good, in seconds. */
const TOKEN_TTL_SECS = 3600;

/** A driver's own table, in the driver's keys; `undefined` leaves a key out. */
export type DriverTable = Readonly<Record<string, string | boolean | undefined>>;

/** What every gateway's configuration is made of. */
export interface GatewayConfigParts {
  readonly driver: DriverName;
  readonly name: string;
  /** The directory of certificates and keys, absolute. */
  readonly tlsDirectory: string;
  /** The image that sandboxes get; drivers that keep it in their own table give none here. */
  readonly defaultImage: string | undefined;
  readonly driverTable: DriverTable;
}

/** A table of TOML as this suite writes it. */
export type GatewayConfig = { readonly openshell: Readonly<Record<string, unknown>> };

/** The configuration, in the schema of OpenShell's gateway (version 1). */
export function gatewayConfig(parts: GatewayConfigParts): GatewayConfig {
  const jwt = join(parts.tlsDirectory, 'jwt');
  return {
    openshell: {
      version: 1,
      gateway: {
        compute_drivers: [parts.driver],
        ...(parts.defaultImage === undefined ? {} : { default_image: parts.defaultImage }),
        disable_tls: true,
        auth: { allow_unauthenticated_users: true },
        gateway_jwt: {
          signing_key_path: join(jwt, 'signing.pem'),
          public_key_path: join(jwt, 'public.pem'),
          kid_path: join(jwt, 'kid'),
          gateway_id: parts.name,
          ttl_secs: TOKEN_TTL_SECS,
        },
      },
      drivers: { [parts.driver]: parts.driverTable },
    },
  };
}

/** Writes the configuration whole, for its owner alone. */
export async function writeGatewayConfig(path: string, config: GatewayConfig): Promise<Change> {
  const { stringify } = await import('smol-toml');
  return writeWhole(path, stringify(config), 0o600);
}

/**
 * A URL of a SQLite database; the path is percent-decoded by its reader (sqlx), and ends at a `?`.
 * @throws usageError for a path that a URL cannot carry
 */
export function sqliteUrl(path: string): string {
  if (/[\0]/.test(path)) throw usageError('the path of the database holds a NUL byte');
  return `sqlite:${path.replaceAll(/[%?#]/g, encodeURIComponent)}?mode=rwc`;
}
