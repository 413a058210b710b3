// SPDX-License-Identifier: Apache-2.0

/** What a launch leaves in files: configuration, registry, directories, binaries. */

import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, onTestFinished, test } from 'vitest';
import { makePrivateDirectory, ownersOf, verifyPrivateDirectory } from '../../../lib/fs/private-directory.ts';
import { gatewayConfig, sqliteUrl, writeGatewayConfig } from '../../../lib/gateway/config-file.ts';
import { verifyPortFree } from '../../../lib/gateway/port.ts';
import { isListening, portHolder } from '../../../lib/gateway/port-owner.ts';
import { watch } from '../../../lib/gateway/readiness.ts';
import { activate, configHome, register } from '../../../lib/gateway/registration.ts';
import { thisProcess } from '../../../lib/process/identity.ts';
import { anyText } from '../../support/any-text.ts';
import { freePort } from '../../support/free-port.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTILE = [
  'x"\nallow_privileged = "yes',
  '"]\n[openshell.gateway.auth]\nx = "',
  "'''",
  '"""',
  'a\\b',
  '\u001b[2J\u0007\u007f\u0085',
  '𝄞 Ünï\u2028',
  '',
  'x'.repeat(65_536),
];

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

  test.each(HOSTILE)('%j stays that value and becomes no other key', async (text) => {
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

describe('the registry', () => {
  const metadata = {
    name: 'docker-dev',
    gateway_endpoint: 'http://127.0.0.1:18080',
    is_remote: false,
    gateway_port: 18080,
    auth_mode: 'plaintext',
  } as const;

  test.each(HOSTILE)('metadata.json with %j reads back', (text) => {
    const home = temporaryDirectory();
    register(home, { ...metadata, gateway_endpoint: text, vm_driver_state_dir: text });
    const path = join(home, 'openshell/gateways/docker-dev/metadata.json');
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      ...metadata,
      gateway_endpoint: text,
      vm_driver_state_dir: text,
    });
  });

  test('files 0600 in directories 0700, whatever was there; the active one is its bare name', () => {
    const home = temporaryDirectory();
    mkdirSync(join(home, 'openshell/gateways/docker-dev'), { recursive: true, mode: 0o755 });
    register(home, metadata);
    activate(home, 'docker-dev');
    const mode = (path: string) => statSync(join(home, path)).mode & 0o777;
    expect(mode('openshell/gateways/docker-dev')).toBe(0o700);
    expect(mode('openshell/gateways/docker-dev/metadata.json')).toBe(0o600);
    expect(readFileSync(join(home, 'openshell/active_gateway'), 'utf8')).toBe('docker-dev');
    expect(mode('openshell/active_gateway')).toBe(0o600);
  });

  test('where it stands', () => {
    expect(configHome({ HOME: '/h' }, '/start', undefined)).toBe('/h/.config');
    expect(configHome({ HOME: '/h', XDG_CONFIG_HOME: '' }, '/start', undefined)).toBe('/h/.config');
    expect(configHome({ HOME: '/h', XDG_CONFIG_HOME: 'x' }, '/start', undefined)).toBe('/start/x');
    expect(configHome({ HOME: '/root', XDG_CONFIG_HOME: '/x' }, '/start', '/home/me')).toBe('/home/me/.config');
  });
});

describe('C28: state directories', () => {
  const own = ownersOf(undefined);

  test('made with 0700, and narrowed to that', () => {
    const directory = join(temporaryDirectory(), 'a/state');
    makePrivateDirectory('S', directory, own);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    chmodSync(directory, 0o755);
    makePrivateDirectory('S', directory, own);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  test('never through a link, and the target keeps its mode', () => {
    const place = temporaryDirectory();
    const victim = join(place, 'victim');
    mkdirSync(victim, { mode: 0o755 });
    symlinkSync(victim, join(place, 'state'));
    for (const check of [verifyPrivateDirectory, makePrivateDirectory]) {
      expect(refusalOf(() => check('S', join(place, 'state'), own))).toContain(
        'which is a link; allowed is a directory',
      );
    }
    expect(statSync(victim).mode & 0o777).toBe(0o755);
  });

  test.each([
    ['below a file', 'file/state'],
    ['far below a file', 'file/a/b/state'],
    ['too long', 'x'.repeat(300)],
  ])('a path that is %s is refused in one line', (_, name) => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    for (const check of [verifyPrivateDirectory, makePrivateDirectory]) {
      expect(refusalOf(() => check('S', join(place, name), own))).toMatch(
        /^2: S is .* cannot be used; set it to another directory/,
      );
    }
  });

  test('no file, no dangling link, nobody else', () => {
    const place = temporaryDirectory();
    writeFileSync(join(place, 'file'), '');
    symlinkSync('nowhere', join(place, 'dangling'));
    expect(refusalOf(() => makePrivateDirectory('S', join(place, 'file'), own))).toContain('which is no directory');
    expect(refusalOf(() => makePrivateDirectory('S', join(place, 'dangling'), own))).toContain('which is a link');
    const foreign = (process.geteuid?.() ?? 0) + 1;
    mkdirSync(join(place, 'dir'));
    expect(refusalOf(() => verifyPrivateDirectory('S', join(place, 'dir'), [foreign]))).toContain('of another user');
    expect(existsSync(join(place, 'nowhere'))).toBe(false);
  });
});

async function listen(host: string): Promise<number> {
  const server = createServer();
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  return (server.address() as { port: number }).port;
}

describe('H20: ports', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['::1', '::1'],
    ['::', '::1'],
  ])('one that listens on %s is in the way of %s, and is named', async (taken, wanted) => {
    const port = await listen(taken);
    expect(await refusalFrom(() => verifyPortFree('OPENSHELL_SERVER_PORT', wanted, port))).toMatch(
      new RegExp(
        `^2: \\S+:${port} is in use by \\S.* \\(pid ${process.pid}\\); stop it, or set OPENSHELL_SERVER_PORT$`,
      ),
    );
  });

  test('a free one is free, also right after it was looked at', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const { port } = server.address() as { port: number };
    await new Promise((resolve) => server.close(resolve));
    await verifyPortFree('P', '127.0.0.1', port);
    await verifyPortFree('P', '127.0.0.1', port);
  });

  test("launches that try one at once are not in each other's way", async () => {
    const port = await freePort();
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 4 }, () => verifyPortFree('P', '127.0.0.1', port)));
    }
  });

  test('an address of another machine', async () => {
    expect(await refusalFrom(() => verifyPortFree('P', '192.0.2.1', 18080))).toContain('is no address of this machine');
  });

  test('who listens', async () => {
    const port = await listen('127.0.0.1');
    expect(portHolder(port)).toContain(`(pid ${process.pid})`);
    expect(isListening(process.pid, port)).toBe(true);
    expect(isListening(process.ppid, port)).toBe(false);
    expect(portHolder(port, '/nowhere')).toBeUndefined();
    expect(isListening(process.pid, port, '/nowhere')).toBeUndefined();
  });
});

describe('H22: the watcher', () => {
  function watched(port: number, process: { pid: number; startTicks?: string | undefined }, home: string) {
    return {
      process,
      isReplaced: true,
      address: '127.0.0.1',
      port,
      name: 'docker-dev',
      endpoint: `http://127.0.0.1:${port}`,
      activateIn: home,
      startedAt: Date.now(),
    };
  }

  test('a gateway that answers becomes the active one', async () => {
    const home = temporaryDirectory();
    const said: string[] = [];
    await watch(watched(await listen('127.0.0.1'), thisProcess(), home), (text) => said.push(text));
    expect(readFileSync(join(home, 'openshell/active_gateway'), 'utf8')).toBe('docker-dev');
    expect(said.join()).toMatch(
      /^docker-dev is up at http:\/\/127.0.0.1:\d+ after \d.* s, now the active gateway of the CLI$/,
    );
  });

  test('one that is gone changes nothing, although somebody else answers on its port', async () => {
    const home = temporaryDirectory();
    mkdirSync(join(home, 'openshell'));
    writeFileSync(join(home, 'openshell/active_gateway'), 'prod');
    const port = await listen('127.0.0.1');
    const child = spawn('sleep', ['0.3']);
    const said: string[] = [];
    await watch(watched(port, { pid: child.pid as number }, home), (text) => said.push(text));
    expect(said).toEqual([]);
    expect(readFileSync(join(home, 'openshell/active_gateway'), 'utf8')).toBe('prod');
  });
});
