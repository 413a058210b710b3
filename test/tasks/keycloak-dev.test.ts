// SPDX-License-Identifier: Apache-2.0

/** Keycloak over fake engines: the engine's arguments, what is refused, and what comes of failures. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { asDryRun } from '../../lib/cli/dry-run-marks.ts';
import { keycloak } from '../../lib/keycloak/execute.ts';
import { PRODUCT } from '../../lib/product.ts';
import { addEngine, contextOf } from '../support/fake-engine.ts';
import { bashQuote, type FakeCase, type FakeTools } from '../support/fake-tools.ts';
import { freePort } from '../support/free-port.ts';
import { fakeTools, inProcess } from '../support/in-process.ts';
import { runTaskFile, whenSaid } from '../support/run-task.ts';
import { refusalFrom } from '../support/task-errors.ts';

const ABSENT = 'echo "Error: No such container: openshell-keycloak" >&2; exit 1';
const DISCOVERY = '/realms/openshell/.well-known/openid-configuration';

/** What an engine says of a container. */
function stateOf(running: boolean, port?: number | string, more: object = {}): string {
  const bindings = port === undefined ? {} : { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: String(port) }] };
  const state = { State: { Running: running, ExitCode: 7 }, HostConfig: { PortBindings: bindings }, ...more };
  return `echo ${bashQuote(JSON.stringify([state]))}`;
}

function setUp(engine: 'docker' | 'podman', inspect: string, cases: readonly FakeCase[] = []) {
  const tools = fakeTools();
  const root = join(tools.directory, 'checkout');
  mkdirSync(join(root, PRODUCT.landmark), { recursive: true });
  mkdirSync(join(root, 'scripts'));
  writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
  writeFileSync(join(root, PRODUCT.keycloakRealm), '{}');
  const own = { args: ['container', 'inspect', 'openshell-keycloak'], script: inspect };
  addEngine(tools, engine, { cases: [...cases, own] });
  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    runTaskFile('keycloak-dev', args, { cwd: tools.directory, env: tools.env({ OPENSHELL_ROOT: root, ...env }) });
  return { tools, root, realm: join(root, PRODUCT.keycloakRealm), run };
}

const started = (tools: FakeTools) => tools.lines().filter((line) => !/ (info|inspect)( |$)/.test(line));

/** Responds on the path of discovery, where Keycloak would. */
async function serve(status = 200, port = 0): Promise<number> {
  const server = createServer(({ url }, response) => response.writeHead(url === DISCOVERY ? status : 404).end());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test.each(['docker', 'podman'] as const)('KCD-2: %s gets these arguments, on loopback alone', async (engine) => {
  const { realm, run, tools } = setUp(engine, ABSENT);
  const port = await freePort();
  const { status, stdout } = await run(['start', '--dry-run'], { KEYCLOAK_PORT: String(port) });
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout:
      `${engine} run --detach --name openshell-keycloak --publish 127.0.0.1:${port}:8080 ` +
      `--volume ${realm}:/opt/keycloak/data/import/realm.json:ro,z --env KEYCLOAK_ADMIN=admin ` +
      '--env KEYCLOAK_ADMIN_PASSWORD=admin quay.io/keycloak/keycloak:24.0 start-dev --import-realm\n' +
      `# waits for http://localhost:${port}${DISCOVERY}, for 1 min 30 s at most\n`,
  });
  expect(started(tools)).toEqual([]);
});

test('KCD-1, KCD-3: CONTAINER_RUNTIME goes before all others, and is no command', async () => {
  const { run, tools } = setUp('docker', stateOf(true, 8180));
  addEngine(tools, 'podman');
  const status = await run(['status'], { CONTAINER_RUNTIME: 'docker' });
  expect(status.stdout).toMatch(/^the container openshell-keycloak in docker is running on port 8180\nIssuer URL: /);
  expect(status.stderr).toBe('[container-engine] docker (CONTAINER_RUNTIME)\n');
  for (const value of ['docker --host x', 'nerdctl']) {
    const wrong = await run(['status'], { CONTAINER_RUNTIME: value });
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^error: CONTAINER_RUNTIME is '[^']*'; allowed are docker, podman; [^\n]*\n$/);
  }
  const both = await run(['status'], { CONTAINER_RUNTIME: '/usr/bin/docker', CONTAINER_ENGINE: 'podman' });
  expect(both.stderr).toBe('[container-engine] docker (CONTAINER_RUNTIME)\n');
});

test('KCD-5: an engine on another machine is refused before anything is started there; it can be stopped', async () => {
  const far = { args: ['context', 'inspect'], script: `echo ${bashQuote(contextOf('tcp://build-box:2375'))}` };
  const { run, tools } = setUp('docker', ABSENT, [far]);
  const env = { DOCKER_HOST: 'tcp://build-box:2375', CONTAINER_RUNTIME: 'docker' };
  const result = await run(['start'], env);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(
    /^error: docker cannot be used \(CONTAINER_RUNTIME\): DOCKER_HOST leads to 'tcp:\/\/build-box:2375', and only a socket of this machine can be used; [^\n]*\n$/m,
  );
  expect(started(tools)).toEqual([]);
  expect((await run(['stop'], env)).status).toBe(0);
});

test('KCD-1: a docker that does not respond is not taken', async () => {
  const { run, tools } = setUp('podman', ABSENT);
  addEngine(tools, 'docker', { info: undefined });
  expect((await run(['status'])).stdout).toBe('the container openshell-keycloak in podman is not there\n');
});

test('all that is wrong is said at once, before anything is started', async () => {
  const { run, tools } = setUp('docker', ABSENT);
  const elsewhere = { KEYCLOAK_PORT: '0x50', OPENSHELL_ROOT: tools.directory, CONTAINER_RUNTIME: 'podman' };
  const result = await run(['start'], elsewhere);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr.split('\n').filter(Boolean)).toEqual([
    expect.stringMatching(/^error: KEYCLOAK_PORT is '0x50'; allowed is a whole number of at least 1 and at most 65535/),
    expect.stringMatching(/^error: OPENSHELL_ROOT is .* not an OpenShell checkout/),
    expect.stringMatching(/^error: podman cannot be used \(CONTAINER_RUNTIME\): podman is not on PATH/),
  ]);
  expect(started(tools)).toEqual([]);
});

test.each([
  ['nothing', [], /<action> is missing/],
  ['another word', ['restart'], /action is 'restart'; allowed are start, stop, status/],
] as const)('%s is wrong usage', async (_, args, said) => {
  const result = await setUp('docker', ABSENT).run(args);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(said);
});

test('a checkout without the realm, and a port that is taken', async () => {
  const { root, run, tools } = setUp('docker', ABSENT);
  const bare = join(tools.directory, 'bare');
  mkdirSync(join(bare, PRODUCT.landmark), { recursive: true });
  writeFileSync(join(bare, 'Cargo.toml'), '[workspace]\n');
  expect((await run(['start'], { OPENSHELL_ROOT: bare })).stderr).toContain("keycloak-realm.json' does not exist; ");
  const port = String(await serve());
  const taken = await run(['start'], { OPENSHELL_ROOT: root, KEYCLOAK_PORT: port });
  expect(taken.status).toBe(2);
  expect(taken.stderr).toMatch(new RegExp(`error: 127.0.0.1:${port} is in use.*set KEYCLOAK_PORT\n$`));
  expect(started(tools)).toEqual([]);
});

test('KCD-4: one that runs is found where it is, whatever KEYCLOAK_PORT is by default', async () => {
  const port = await serve();
  const { run, tools } = setUp('podman', stateOf(true, port));
  const result = await run(['start']);
  expect(result).toMatchObject({
    status: 0,
    stdout: expect.stringContaining(`http://localhost:${port}/realms/openshell`),
  });
  expect(started(tools)).toEqual([]);
});

test('KCD-6: one that runs on another port than KEYCLOAK_PORT is not the one that was asked for', async () => {
  const { run } = setUp('docker', stateOf(true, 8180));
  const other = await run(['status'], { KEYCLOAK_PORT: '9999' });
  expect(other.status).toBe(1);
  expect(other.stdout).toMatch(
    /^the container \S+ in docker is running on port 8180, not 9999 \(KEYCLOAK_PORT\)\nIssuer/,
  );
  expect((await run(['status'], { KEYCLOAK_PORT: '8180' })).status).toBe(0);
});

test('an engine that fails to tell of the container is not one without it', async () => {
  const { run, tools } = setUp('docker', 'echo the daemon is ill >&2; exit 1');
  for (const action of ['start', 'stop', 'status']) {
    const result = await run([action], { KEYCLOAK_PORT: String(await freePort()) });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(
      'error: docker does not tell of the container openshell-keycloak: the daemon is ill',
    );
  }
  expect(started(tools)).toEqual([]);
});

test('stop ends what is there, and says what the engine refuses', async () => {
  const removal = { args: ['container', 'rm'], script: ':' };
  const running = setUp('docker', stateOf(true, 1), [{ args: ['container', 'stop'], script: ':' }, removal]);
  expect((await running.run(['stop', '--dry-run'])).stdout.split('\n')).toHaveLength(3);
  expect(started(running.tools)).toEqual([]);
  expect((await running.run(['stop'])).status).toBe(0);
  const remove = 'docker container rm --force --volumes openshell-keycloak';
  expect(started(running.tools)).toEqual(['docker container stop openshell-keycloak', remove]);
  const stopping = { args: ['container', 'stop'], script: ':' };
  const ended = setUp('docker', stateOf(false, 1), [stopping, removal]);
  expect((await ended.run(['stop'])).status).toBe(0);
  expect(started(ended.tools).at(-1)).toBe(remove);
  const refused = setUp('docker', stateOf(false, 1), [stopping, { args: ['container', 'rm'], script: 'exit 9' }]);
  expect(await refused.run(['stop'])).toMatchObject({ status: 9, stdout: '' });
});

test('one that does not respond in time: its last lines, status 1, and it is left for a look', async () => {
  const logs = { args: ['container', 'logs', '--tail', '30'], script: 'echo last words' };
  const port = await serve(503);
  const { root, tools } = setUp('docker', stateOf(true, port), [logs]);
  const ctx = inProcess(tools, { OPENSHELL_ROOT: root });
  expect(await refusalFrom(() => keycloak(ctx, 'start', false, { readyMs: 50 }))).toMatch(
    /^1: Keycloak does not respond within 0.05 s; see its last lines above; to remove it: mise run keycloak:stop$/,
  );
  expect(started(tools)).toEqual(['docker container logs --tail 30 openshell-keycloak']);
});

test('in the container of a CI job it shares the network of that, and the realm is the one on the host', async () => {
  const job = { args: ['container', 'inspect', 'job1'], script: 'echo []' };
  const { root, tools } = setUp('docker', ABSENT, [job, { args: ['container', 'inspect', 'unknown'], script: ABSENT }]);
  const ctx = inProcess(tools, {
    OPENSHELL_ROOT: root,
    GITHUB_ACTIONS: 'true',
    KEYCLOAK_PORT: String(await freePort()),
  });
  const facts = { hostname: 'job1', mark: join(root, 'Cargo.toml') };
  expect(await refusalFrom(() => keycloak(ctx, 'start', true, facts))).toMatch(/^2: .* is not below \/__w\//);
  // Outside of a container, of GitHub's jobs, and in one that the engine does not know: the usual way.
  const usual = [
    keycloak(ctx, 'start', true, { ...facts, mark: join(root, 'none') }),
    keycloak({ ...ctx, env: { ...ctx.env, GITHUB_ACTIONS: '' } }, 'start', true, facts),
    keycloak(ctx, 'start', true, { ...facts, hostname: 'unknown' }),
  ];
  expect(await Promise.all(usual)).toEqual([0, 0, 0]);
  expect(ctx.screen.stdout().match(/--publish 127\.0\.0\.1:/g)).toHaveLength(3);
  const dry = asDryRun({ ...ctx, env: { ...ctx.env, PATH: '/nonexistent' } });
  expect(await keycloak(dry, 'start', true, facts)).toBe(0);
  const why = 'podman and docker not reachable';
  expect(ctx.screen.stdout()).toContain(`--network 'container:<job container: ${why}>'`);
  expect(ctx.screen.stdout()).toContain(`src=<realm on the host: ${why}>,`);
});

/** An engine that is still at it. */
function slowEngine(remove: string) {
  const slow = { args: ['run'], script: 'trap "exit 5" INT TERM; /bin/sleep 30 & wait' };
  return setUp('docker', ABSENT, [slow, { args: ['container', 'rm'], script: remove }]);
}

async function interrupted({ root, tools }: ReturnType<typeof setUp>, signal: 'SIGINT' | 'SIGTERM') {
  const env = tools.env({ OPENSHELL_ROOT: root, KEYCLOAK_PORT: String(await freePort()) });
  const onStart = whenSaid('$ docker run', (child) => setTimeout(() => child.kill(signal), 300));
  return runTaskFile('keycloak-dev', ['start'], { cwd: tools.directory, env, onStart });
}

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s while the engine pulls or creates: the container is removed',
  async (signal) => {
    const engine = slowEngine(':');
    const result = await interrupted(engine, signal);
    expect(result).toMatchObject({ status: signal === 'SIGINT' ? 130 : 143, stdout: '' });
    expect(started(engine.tools).at(-1)).toBe('docker container rm --force --volumes openshell-keycloak');
  },
);

test('a container that cannot be removed after a signal is named, with what removes it', async () => {
  const result = await interrupted(slowEngine('echo busy >&2; exit 1'), 'SIGINT');
  expect(result.status).toBe(130);
  expect(result.stderr).toContain('warning: the container openshell-keycloak is left: busy; to remove it: mise run');
});
