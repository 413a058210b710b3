// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { gatewayToml, sqliteUrl } from '../../../lib/gateway/plan.ts';
import { anyText } from '../../support/any-text.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';

describe('C25, C26: gateway.toml', () => {
  const drivers = ['docker', 'podman', 'vm', 'kubernetes'] as const;

  function roundTrip(driver: (typeof drivers)[number], text: string): unknown {
    const driverTable = { default_image: text, state_dir: text, flag: true, absent: undefined };
    return parse(gatewayToml({ name: text, stateDirectory: '/s' }, driver, driverTable, text));
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

  test.each(HOSTILE_TEXTS)('%j stays that value and becomes no other key', (text) => {
    for (const driver of drivers) expect(roundTrip(driver, text)).toEqual(expected(driver, text));
  });

  test('any text', () => {
    fc.assert(
      fc.property(fc.constantFrom(...drivers), anyText({ maxLength: 200 }), (driver, text) => {
        expect(roundTrip(driver, text)).toEqual(expected(driver, text));
      }),
      { numRuns: 60 },
    );
  });

  test('a driver that keeps the image in its own table leaves it out of the other', () => {
    const text = gatewayToml({ name: 'x', stateDirectory: '/s' }, 'docker', {}, undefined);
    expect(text).not.toContain('default_image');
  });
});

test('the URL of the database carries any path', () => {
  expect(sqliteUrl('/a b/gateway.db')).toBe('sqlite:/a b/gateway.db?mode=rwc');
  expect(sqliteUrl('/50%?#/gateway.db')).toBe('sqlite:/50%25%3F%23/gateway.db?mode=rwc');
});
