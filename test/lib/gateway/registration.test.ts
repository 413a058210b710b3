// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { activate, configHome, register } from '../../../lib/gateway/registration.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const METADATA = {
  name: 'docker-dev',
  gateway_endpoint: 'http://127.0.0.1:18080',
  gateway_port: 18080,
} as const;

test.each(HOSTILE_TEXTS)('metadata.json with %j reads back', (text) => {
  const home = temporaryDirectory();
  register(home, { ...METADATA, gateway_endpoint: text, vm_driver_state_dir: text });
  const path = join(home, 'openshell/gateways/docker-dev/metadata.json');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
    ...METADATA,
    gateway_endpoint: text,
    is_remote: false,
    auth_mode: 'plaintext',
    vm_driver_state_dir: text,
  });
});

test('files 0600 in directories 0700, whatever was there; the active one is its bare name', () => {
  const home = temporaryDirectory();
  mkdirSync(join(home, 'openshell/gateways/docker-dev'), { recursive: true, mode: 0o755 });
  register(home, METADATA);
  activate(home, 'docker-dev');
  const mode = (path: string) => statSync(join(home, path)).mode & 0o777;
  expect(mode('openshell/gateways/docker-dev')).toBe(0o700);
  expect(mode('openshell/gateways/docker-dev/metadata.json')).toBe(0o600);
  expect(readFileSync(join(home, 'openshell/active_gateway'), 'utf8')).toBe('docker-dev');
  expect(mode('openshell/active_gateway')).toBe(0o600);
});

test('where the registry is', () => {
  expect(configHome({ HOME: '/h' }, '/start', undefined)).toBe('/h/.config');
  expect(configHome({ HOME: '/h', XDG_CONFIG_HOME: '' }, '/start', undefined)).toBe('/h/.config');
  expect(configHome({ HOME: '/h', XDG_CONFIG_HOME: 'x' }, '/start', undefined)).toBe('/start/x');
  expect(configHome({ HOME: '/root', XDG_CONFIG_HOME: '/x' }, '/start', '/home/me')).toBe('/home/me/.config');
});
