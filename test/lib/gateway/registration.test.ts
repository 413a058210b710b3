// SPDX-License-Identifier: Apache-2.0

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { activate, configHome, metadataPath, register, verifyNameFree } from '../../../lib/gateway/registration.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import { listen } from '../../support/listener.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const GATEWAY = { name: 'docker-dev', endpoint: 'http://127.0.0.1:18080', port: 18080 } as const;

test.each(HOSTILE_TEXTS)('metadata.json with %j reads back', (text) => {
  const home = temporaryDirectory();
  register(home, { ...GATEWAY, endpoint: text }, { vm_driver_state_dir: text });
  const path = join(home, 'openshell/gateways/docker-dev/metadata.json');
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
    name: 'docker-dev',
    gateway_endpoint: text,
    gateway_port: 18080,
    is_remote: false,
    auth_mode: 'plaintext',
    vm_driver_state_dir: text,
  });
});

test('files 0600 in directories 0700, whatever was there; the active one is its bare name', () => {
  const home = temporaryDirectory();
  mkdirSync(join(home, 'openshell/gateways/docker-dev'), { recursive: true, mode: 0o755 });
  register(home, GATEWAY);
  activate(home, 'docker-dev');
  const mode = (path: string) => statSync(join(home, path)).mode & 0o777;
  expect(mode('openshell/gateways/docker-dev')).toBe(0o700);
  expect(mode('openshell/gateways/docker-dev/metadata.json')).toBe(0o600);
  expect(readFileSync(join(home, 'openshell/active_gateway'), 'utf8')).toBe('docker-dev');
  expect(mode('openshell/active_gateway')).toBe(0o600);
});

test('where the registry is', () => {
  expect(configHome({ HOME: '/usr' }, '/start', undefined)).toBe('/usr/.config');
  expect(configHome({ HOME: '/usr', XDG_CONFIG_HOME: '' }, '/start', undefined)).toBe('/usr/.config');
  expect(configHome({ HOME: '/h', XDG_CONFIG_HOME: 'x' }, '/start', undefined)).toBe('/start/x');
});

test('P2: under sudo it is that of the user who called it; XDG_CONFIG_HOME wins, and no home is guessed', () => {
  const invoker = { uid: 4242, gid: 4242, user: 'ldap', home: '/usr' };
  expect(configHome({ HOME: '/root' }, '/start', invoker)).toBe('/usr/.config');
  expect(configHome({ HOME: '/root', XDG_CONFIG_HOME: '/x' }, '/start', invoker)).toBe('/x');
  const unknown = { ...invoker, home: undefined, homeProblem: 'getent passwd 4242: status 2' };
  expect(configHome({ HOME: '/root', XDG_CONFIG_HOME: '/x' }, '/start', unknown)).toBe('/x');
  expect(refusalOf(() => configHome({ HOME: '/root' }, '/start', unknown))).toBe(
    "2: the home of 'ldap', who called sudo, is not known (getent passwd 4242: status 2); start it with sudo XDG_CONFIG_HOME=…, " +
      'where the CLI keeps its gateways',
  );
});

test.each([
  [{}, 'neither HOME nor XDG_CONFIG_HOME is set'],
  [{ HOME: '', XDG_CONFIG_HOME: '' }, 'neither HOME nor XDG_CONFIG_HOME is set'],
])('E1: the environment %j has no home for the registry', (env, text) => {
  expect(refusalOf(() => configHome(env, '/', undefined))).toMatch(new RegExp(`^2: ${text}.*; set HOME`));
});

describe('R16: a name that is registered for another gateway', () => {
  const place = (entry: string | undefined, endpoint = 'http://127.0.0.1:9') => {
    const configHome = temporaryDirectory();
    const path = metadataPath(configHome, 'docker-dev');
    if (entry !== undefined) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, entry);
    }
    return { path, taken: { configHome, name: 'docker-dev', nameSource: 'OPENSHELL_GATEWAY_NAME', endpoint } };
  };
  const gateway = () => 'openshell-gateway (pid 7)';
  const entryOf = (endpoint: unknown) => JSON.stringify({ name: 'docker-dev', gateway_endpoint: endpoint });

  test.each(['127.0.0.1', '[::1]', 'localhost'])('that responds at %s: who it is, and the way on', async (host) => {
    const port = await listen(host === '[::1]' ? '::1' : '127.0.0.1');
    const { path, taken } = place(entryOf(`http://${host}:${port}`));
    expect(await refusalFrom(() => verifyNameFree(taken, gateway))).toBe(
      `2: docker-dev is registered for http://${host}:${port}, where openshell-gateway (pid 7) responds; ` +
        `set OPENSHELL_GATEWAY_NAME to another name, or stop that gateway (its entry is ${path})`,
    );
  });

  test.each([
    ['no entry', undefined],
    ['an empty one', ''],
    ['half an entry', '{"gateway_endpoint": "http://127'],
    ['a list', '[null]'],
    ['no text', entryOf(7)],
    ['no URL', entryOf('nowhere')],
    ['a port that there is not', entryOf('http://127.0.0.1:99999')],
    ['another protocol', entryOf('unix:///run/gateway.sock')],
    ['an earlier endpoint that no longer responds', entryOf('http://127.0.0.1:1')],
    ['one that does not respond in time', entryOf('http://192.0.2.1:18080')],
    ['its own endpoint', entryOf('http://127.0.0.1:9/')],
  ])('%s: the name is free', async (_, entry) => {
    await verifyNameFree(place(entry).taken);
  });

  test('its own endpoint that responds is the port’s affair', async () => {
    const endpoint = `http://127.0.0.1:${await listen('127.0.0.1')}`;
    await verifyNameFree(place(entryOf(endpoint), endpoint).taken);
  });

  test('AQ-2: another program there is not that gateway; one that is not known may be', async () => {
    const { taken } = place(entryOf(`http://127.0.0.1:${await listen('127.0.0.1')}`));
    await verifyNameFree(taken, () => 'python3 (pid 7)');
    expect(await refusalFrom(() => verifyNameFree(taken, () => undefined))).toContain(', where a program responds; ');
  });

  test('what is not a file is not read', async () => {
    const { path, taken } = place(undefined);
    mkdirSync(dirname(path), { recursive: true });
    execFileSync('mkfifo', [path]);
    await verifyNameFree(taken);
  });
});

test('AM-19: neither is a local one with a login, whether it responds or not', async () => {
  const configHome = temporaryDirectory();
  const path = metadataPath(configHome, 'docker-dev');
  mkdirSync(dirname(path), { recursive: true });
  const own = { configHome, name: 'docker-dev', nameSource: 'OPENSHELL_GATEWAY_NAME', endpoint: 'http://127.0.0.1:1' };
  const register = (auth_mode: string) =>
    writeFileSync(path, JSON.stringify({ gateway_endpoint: 'https://127.0.0.1:1', is_remote: false, auth_mode }));
  register('oidc');
  expect(await refusalFrom(() => verifyNameFree(own))).toBe(
    `2: docker-dev is registered for a gateway with a login (${path}); set OPENSHELL_GATEWAY_NAME to another name`,
  );
  register('plaintext');
  await verifyNameFree(own);
});

test('R16: the entry of a remote gateway is not taken over, whether that responds or not', async () => {
  const home = temporaryDirectory();
  const path = metadataPath(home, 'prod');
  mkdirSync(dirname(path), { recursive: true });
  const entry = { name: 'prod', gateway_endpoint: 'https://gateway.invalid:8443', is_remote: true };
  writeFileSync(path, JSON.stringify(entry));
  const own = { configHome: home, name: 'prod', nameSource: 'OPENSHELL_GATEWAY_NAME', endpoint: 'http://127.0.0.1:1' };
  expect(await refusalFrom(() => verifyNameFree(own))).toBe(
    `2: prod is registered for a remote gateway (${path}); set OPENSHELL_GATEWAY_NAME to another name`,
  );
});
