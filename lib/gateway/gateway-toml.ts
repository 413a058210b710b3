// SPDX-License-Identifier: Apache-2.0

/** The gateway's configuration, serialised by a library, so that no value turns into another key. */

import { join } from 'node:path';
import { stringify } from 'smol-toml';
import type { DriverName } from './config.ts';

/** How long a sandbox's token is good, in seconds. */
const TOKEN_TTL_SECS = 3600;

/** A driver's own table, in the driver's keys; `undefined` leaves a key out. */
export type DriverTable = Readonly<Record<string, string | boolean | undefined>>;

/** The text of `gateway.toml`, in the schema of OpenShell's gateway (version 1). */
export function gatewayToml(parts: {
  readonly driver: DriverName;
  readonly name: string;
  readonly tlsDirectory: string;
  readonly defaultImage?: string | undefined;
  readonly driverTable: DriverTable;
}): string {
  const jwt = join(parts.tlsDirectory, 'jwt');
  return stringify({
    openshell: {
      version: 1,
      gateway: {
        compute_drivers: [parts.driver],
        default_image: parts.defaultImage,
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
  });
}

/** A URL of a SQLite database; the path is percent-decoded by its reader (sqlx), and ends at a `?`. */
export function sqliteUrl(path: string): string {
  return `sqlite:${path.replaceAll(/[%?#]/g, encodeURIComponent)}?mode=rwc`;
}
