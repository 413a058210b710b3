// SPDX-License-Identifier: Apache-2.0

/** The life of a Keycloak with real podman: an image of the same name that reads the realm and responds as it does. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PRODUCT } from '../../lib/product.ts';
import { makeNetwork, type Network } from '../support/network.ts';
import { requireTools } from '../support/real-tools.ts';
import { runTaskFile, type TaskOptions, whenSaid } from '../support/run-task.ts';
import { makePodmanHome, type PodmanHome } from '../support/services.ts';

const NAME = 'openshell-keycloak';
const REALM = '{"realm":"openshell"}';
const tools = requireTools('podman', 'runc', 'cc', 'glibc-static', 'unshare', 'nsenter', 'busybox', 'setpriv');

describe('a real Keycloak', tools.options, () => {
  let directory = '';
  let root = '';
  let podman: PodmanHome;
  let network: Network;

  const env = (extra: Readonly<Record<string, string>> = {}) => ({
    ...tools.env,
    ...podman.env,
    CONTAINER_RUNTIME: 'podman',
    OPENSHELL_ROOT: root,
    ...extra,
  });
  const task = (action: string, extra: Record<string, string> = {}, options: Partial<TaskOptions> = {}) =>
    runTaskFile('keycloak-dev', [action], { cwd: directory, env: env(extra), through: network.through, ...options });
  const engine = (...args: readonly string[]) =>
    execFileSync(network.through[0] as string, [...network.through.slice(1), 'podman', ...args], {
      env: env(),
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const containers = () => engine('container', 'ls', '--all', '--format', '{{.Names}}').trim();
  const setRealm = (text: string) => writeFileSync(join(root, PRODUCT.keycloakRealm), text);

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-keycloak-'));
    root = join(directory, 'checkout');
    mkdirSync(join(root, PRODUCT.landmark), { recursive: true });
    mkdirSync(join(root, 'scripts'));
    writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
    podman = makePodmanHome();
    network = await makeNetwork();
    const source = join(import.meta.dirname, '../support/fake-keycloak.c');
    execFileSync('cc', ['-static', '-O1', source, '-o', join(directory, 'keycloak')], { env: tools.env });
    writeFileSync(join(directory, 'Dockerfile'), 'FROM scratch\nCOPY keycloak /keycloak\nENTRYPOINT ["/keycloak"]\n');
    engine('build', '--quiet', '--tag', 'quay.io/keycloak/keycloak:24.0', directory);
  });

  afterEach(() => {
    if (containers() !== '') engine('container', 'rm', '--force', '--all');
  });

  afterAll(() => {
    network.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  test('KCD-1, KCD-4: started, waited for, found running where it is, and removed', async () => {
    setRealm(REALM);
    expect(await task('status')).toMatchObject({ status: 1, stdout: `the container ${NAME} in podman is not there\n` });
    const started = await task('start', { KEYCLOAK_PORT: '18181' });
    expect(started).toMatchObject({ status: 0 });
    expect(started.stdout).toContain('Issuer URL:    http://localhost:18181/realms/openshell\n');
    expect(started.stdout).toContain('user-b@test/user-b');
    const again = await task('start');
    expect(again).toMatchObject({ status: 0, stdout: started.stdout });
    expect(again.stderr).toContain('Keycloak is already running on port 18181\n');
    const status = await task('status');
    const line = `the container ${NAME} in podman is running on port 18181\n`;
    expect(status).toMatchObject({ status: 0, stdout: `${line}${started.stdout}` });
    const other = await task('start', { KEYCLOAK_PORT: '18182' });
    expect(other.status).toBe(2);
    expect(other.stderr).toMatch(/^error: Keycloak is already running on port 18181, not 18182 \(KEYCLOAK_PORT\); /m);
    expect(await task('stop')).toMatchObject({
      status: 0,
      stdout: `the container ${NAME} in podman is stopped and removed\n`,
    });
    expect(containers()).toBe('');
    expect((await task('stop')).status).toBe(0);
  });

  test('KCD-2: it is published on loopback alone', async () => {
    setRealm(REALM);
    await task('start');
    expect(engine('port', NAME)).toBe('8080/tcp -> 127.0.0.1:8180\n');
  });

  test('KCD-4: one that ends early is not waited for: its lines and its status; the next start replaces it', async () => {
    setRealm('{"crash":1}');
    const start = performance.now();
    const crashed = await task('start');
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(crashed).toMatchObject({ status: 1, stdout: '' });
    expect(crashed.stderr).toContain('the realm is read\n');
    expect(crashed.stderr).toContain('the realm is broken\n');
    expect(crashed.stderr).toMatch(/^error: Keycloak has ended with status 3; .*keycloak:stop$/m);
    expect(await task('status')).toMatchObject({
      status: 1,
      stdout: `the container ${NAME} in podman is not running\n`,
    });
    setRealm(REALM);
    expect((await task('start')).status).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('%s while it is waited for: nothing is left', async (signal) => {
    setRealm('{"mute":1}');
    const onStart = whenSaid('waiting for', (child) => void child.kill(signal));
    const result = await task('start', {}, { onStart });
    expect(result.status).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(containers()).toBe('');
  });

  test('SIGINT while a Keycloak is waited for that ran before: it stays', async () => {
    setRealm('{"mute":1}');
    const port = ['--publish', '127.0.0.1:8180:8080'];
    const volume = ['--volume', `${join(root, PRODUCT.keycloakRealm)}:/opt/keycloak/data/import/realm.json:ro`];
    const admin = ['--env', 'KEYCLOAK_ADMIN=admin'];
    const image = ['quay.io/keycloak/keycloak:24.0', 'start-dev', '--import-realm'];
    engine('run', '--detach', '--name', NAME, ...port, ...volume, ...admin, ...image);
    const onStart = whenSaid('waiting for', (child) => void child.kill('SIGINT'));
    expect((await task('start', {}, { onStart })).status).toBe(130);
    expect(containers()).toBe(NAME);
  });
});
