// SPDX-License-Identifier: Apache-2.0

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { gatewayConfig, sqliteUrl, writeGatewayConfig } from '../../../lib/gateway/config-file.ts';
import { anyText } from '../../support/any-text.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

describe('C25, C26: gateway.toml', () => {
  const drivers = ['docker', 'podman', 'vm', 'kubernetes'] as const;

  async function roundTrip(driver: (typeof drivers)[number], text: string, directory: string): Promise<unknown> {
    const parts = {
      driver,
      name: text,
      tlsDirectory: '/s/tls',
      defaultImage: text,
      driverTable: { default_image: text, state_dir: text, flag: true, absent: undefined },
    };
    const path = join(directory, 'gateway.toml');
    await writeGatewayConfig(path, gatewayConfig(parts));
    return parse(readFileSync(path, 'utf8'));
  }

  function expected(driver: string, text: string): object {
    return {
      openshell: {
        version: 1,
        gateway: {
          compute_drivers: [driver],
          default_image: text,
          disable_tls: true,
          auth: { allow_unauthenticated_users: true },
          gateway_jwt: {
            signing_key_path: '/s/tls/jwt/signing.pem',
            public_key_path: '/s/tls/jwt/public.pem',
            kid_path: '/s/tls/jwt/kid',
            gateway_id: text,
            ttl_secs: 3600,
          },
        },
        drivers: { [driver]: { default_image: text, state_dir: text, flag: true } },
      },
    };
  }

  test.each(HOSTILE_TEXTS)('%j stays that value and becomes no other key', async (text) => {
    const directory = temporaryDirectory();
    for (const driver of drivers) expect(await roundTrip(driver, text, directory)).toEqual(expected(driver, text));
  });

  test('any text', async () => {
    const directory = temporaryDirectory();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...drivers), anyText({ maxLength: 200 }), async (driver, text) => {
        expect(await roundTrip(driver, text, directory)).toEqual(expected(driver, text));
      }),
      { numRuns: 60 },
    );
  });

  test('L10: it appears whole, for its owner alone', async () => {
    const directory = temporaryDirectory();
    await roundTrip('docker', 'x', directory);
    expect(statSync(join(directory, 'gateway.toml')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['gateway.toml']);
  });
});

test('the URL of the database carries any path', () => {
  expect(sqliteUrl('/a b/gateway.db')).toBe('sqlite:/a b/gateway.db?mode=rwc');
  expect(sqliteUrl('/50%?#/gateway.db')).toBe('sqlite:/50%25%3F%23/gateway.db?mode=rwc');
});
