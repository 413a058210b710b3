// SPDX-License-Identifier: Apache-2.0

/** Which engine can carry a launch, over fake programs and real sockets. */

import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { detectEngine, findEngine } from '../../../lib/engine/detect.ts';
import { forLaunch } from '../../../lib/engine/gateway-engine.ts';
import { PODMAN } from '../../../lib/engine/podman.ts';
import type { EngineName } from '../../../lib/engine/types.ts';
import { serveApi } from '../../support/fake-api.ts';
import { addEngine, contextOf, DOCKER_INFO, type FakeEngine, PODMAN_INFO } from '../../support/fake-engine.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom } from '../../support/task-errors.ts';

type Engines = { docker?: FakeEngine; podman?: FakeEngine };

const down = { info: undefined, refusal: 'Cannot connect' };
/** A user without sockets of their own. */
const UID = 4_242_424;

/** Looks for an engine among these; `sockets` has paths for them. */
function looking(
  engines: (sockets: { docker: string; podman: string }) => Engines,
  extra: Record<string, string> = {},
) {
  const tools = fakeTools();
  const sockets = { docker: join(tools.directory, 'docker.sock'), podman: join(tools.directory, 'podman.sock') };
  for (const [name, engine] of Object.entries(engines(sockets))) addEngine(tools, name as EngineName, engine);
  const ctx = inProcess(tools, extra);
  const purpose = (platform: NodeJS.Platform = 'linux') => forLaunch(ctx, platform, UID);
  return {
    ...{ sockets, tools, ctx },
    detect: () => detectEngine(ctx, tools.directory, purpose()),
    find: (name: EngineName, platform?: NodeJS.Platform) => {
      const choice = { candidates: [name], reason: 'the driver' };
      return findEngine(ctx, tools.directory, choice, purpose(platform));
    },
  };
}

const context = (endpoint: string) => [{ args: ['context', 'inspect'], script: `echo '${contextOf(endpoint)}'` }];

describe('docker', () => {
  test('R1: the socket is that of the context', async () => {
    const { find, sockets, tools } = looking(({ docker }) => ({ docker: { api: docker } }));
    serveApi(sockets.docker, 'docker');
    expect(await find('docker')).toMatchObject({ program: 'docker', socket: sockets.docker });
    expect(tools.lines().sort()).toEqual(['docker context inspect', 'docker info --format {{json .}}']);
  });

  test.each([
    ['ssh://me@far', {}, /the context of docker leads to 'ssh:\/\/me@far', and only a socket of this machine/],
    ['tcp://far:2375', { DOCKER_HOST: 'tcp://far' }, /\(the driver\): DOCKER_HOST leads to 'tcp:\/\/far:2375', and/],
    ['unix://here.sock', {}, /leads to 'unix:\/\/here\.sock'/],
    ['npipe:////./pipe/docker_engine', {}, /leads to 'npipe:/],
  ])('R1: %s is refused, however long the daemon takes to respond', async (endpoint, extra, said) => {
    const start = Date.now();
    const { find } = looking(
      () => ({ docker: { delay: 60, cases: context(endpoint) } }),
      extra as Record<string, string>,
    );
    expect(await refusalFrom(() => find('docker'))).toMatch(said);
    expect(Date.now() - start).toBeLessThan(10_000);
  });

  test.each([
    [
      'echo "context \\"gone\\" not found" >&2; exit 1',
      /docker context inspect: context "gone" not found; find out why/,
    ],
    ['echo []', /docker context inspect gave '\[\]'; find out why/],
    [`echo '[{"Endpoints":{}}]'`, /docker context inspect gave /],
  ])('R1: an endpoint that is not known (%s) is refused', async (script, said) => {
    const { find } = looking(() => ({ docker: { cases: [{ args: ['context', 'inspect'], script }] } }));
    expect(await refusalFrom(() => find('docker'))).toMatch(said);
  });

  test("R1: podman's service on docker's socket is not Docker, as it is not for the gateway", async () => {
    const { find, sockets } = looking(({ docker }) => ({ docker: { api: docker } }));
    serveApi(sockets.docker, 'podman');
    expect(await refusalFrom(() => find('docker'))).toMatch(
      /docker\.sock' is the API of podman; start Docker \(sudo systemctl start docker, or Docker Desktop\), or/,
    );
  });
});

describe('podman', () => {
  test('R3: the socket that podman names; without a service there, the launch is refused', async () => {
    const { find, sockets } = looking(({ podman }) => ({ podman: { api: podman } }));
    expect(await refusalFrom(() => find('podman'))).toMatch(
      /^2: podman cannot carry a gateway \(the driver\): the API of podman: '.*podman\.sock' does not exist; run: systemctl --user start podman\.socket .*, or launch with another driver \(mise run gateway:vm\)$/,
    );
    serveApi(sockets.podman, 'podman');
    expect(await find('podman')).toMatchObject({ socket: sockets.podman });
  });

  test('R3: a socket that podman says does not exist is not tried', async () => {
    const info = (path: string) => ({ host: { arch: 'amd64', remoteSocket: { path, exists: false } } });
    const { find, sockets } = looking(({ podman }) => ({ podman: { info: info(podman) } }));
    serveApi(sockets.podman, 'podman');
    expect(await refusalFrom(() => find('podman'))).toContain('podman cannot carry a gateway');
  });

  test('R3: a socket that is named is the only one', async () => {
    const named = { OPENSHELL_PODMAN_SOCKET: 'mine.sock' };
    const { ctx, find, sockets } = looking(({ podman }) => ({ podman: { api: podman } }), named);
    serveApi(sockets.podman, 'podman');
    expect(await refusalFrom(() => find('podman'))).toMatch(
      /the API of podman: OPENSHELL_PODMAN_SOCKET: '\S+\/mine\.sock' does not exist; start its service there, or change or unset OPENSHELL_PODMAN_SOCKET, or/,
    );
    const mine = serveApi(join(ctx.startDirectory, 'mine.sock'), 'podman');
    expect(await find('podman')).toMatchObject({ socket: mine });
  });

  test("R3: docker's socket is not the service", async () => {
    const { find, sockets } = looking(({ podman }) => ({ podman: { api: podman } }));
    serveApi(sockets.podman, 'docker');
    expect(await refusalFrom(() => find('podman'))).toMatch(/podman\.sock' is the API of docker; run: systemctl/);
  });

  test("R3: on macOS the machine's socket, by a probe of its own", async () => {
    const machine = (path: string) => JSON.stringify([{ ConnectionInfo: { PodmanSocket: { Path: path } } }]);
    // What the service says is a path in the virtual machine.
    const info = {
      host: { arch: 'arm64', serviceIsRemote: true, remoteSocket: { path: '/run/p.sock', exists: true } },
    };
    const { find, sockets } = looking(({ podman }) => ({
      podman: { info, cases: [{ args: ['machine', 'inspect'], script: `echo '${machine(podman)}'` }] },
    }));
    const refusal = await refusalFrom(() => find('podman', 'darwin'));
    expect(refusal).toMatch(/; run: podman machine start, or launch/);
    expect(refusal).not.toContain('/run/');
    serveApi(sockets.podman, 'podman');
    expect(await find('podman', 'darwin')).toMatchObject({ socket: sockets.podman });
  });
});

describe('the first that could carry a launch', () => {
  test('R3: docker where podman has no service, and why', async () => {
    const { ctx, detect, sockets } = looking(({ docker }) => ({ docker: { api: docker }, podman: {} }));
    serveApi(sockets.docker, 'docker');
    expect(await detect()).toMatchObject({ record: { name: 'docker' }, socket: sockets.docker });
    expect(ctx.screen.stderr()).toMatch(
      /^\[container-engine\] docker \(it responds; the API of podman: '\S+podman\.sock' does not exist\)$/m,
    );
  });

  test('R3: podman where both could', async () => {
    const { detect, sockets } = looking(({ docker, podman }) => ({ docker: { api: docker }, podman: { api: podman } }));
    serveApi(sockets.docker, 'docker');
    serveApi(sockets.podman, 'podman');
    expect(await detect()).toMatchObject({ record: { name: 'podman' }, socket: sockets.podman });
  });

  test('R1, R3: none: why, for each', async () => {
    const ssh = looking(() => ({ docker: { cases: context('ssh://far') }, podman: {} }));
    expect(await refusalFrom(ssh.detect)).toMatch(
      /^2: podman or docker cannot carry a gateway: the API of podman: '\S+podman\.sock' does not exist; the context of docker leads to 'ssh:\/\/far', .*; run: systemctl --user start podman\.socket .*, or choose a context .*, or launch with another driver \(mise run gateway:vm\)$/,
    );
    const absent = looking(() => ({ docker: down }));
    expect(await refusalFrom(absent.detect)).toMatch(
      /gateway: podman is not on PATH; docker info: Cannot connect; start Docker \(sudo systemctl start docker, or Docker Desktop\), or/,
    );
  });

  test('R1: podman under the name docker is podman, with its service', async () => {
    const shim = looking(({ podman }) => ({ docker: { info: PODMAN_INFO, api: podman, cases: context('unix:///x') } }));
    expect(await refusalFrom(() => shim.find('docker'))).toMatch(
      /docker is really podman; install docker itself, or launch/,
    );
    serveApi(shim.sockets.podman, 'podman');
    expect(await shim.detect()).toMatchObject({ program: 'docker', record: { name: 'podman' } });
  });
});

describe('T1: a hang, a missing permission and a stopped engine get different words', () => {
  test.each<[string, object, RegExp]>([
    [
      'hang',
      { ok: false, reason: 'no response', timedOut: true },
      /; find out why it hangs or is so slow \(try: docker info\), and/,
    ],
    [
      'permission',
      { ok: false, reason: 'permission denied while trying' },
      /; let this user use Docker \(the group docker\), or/,
    ],
    [
      'stopped',
      { ok: false, reason: 'Cannot connect' },
      /; start Docker \(sudo systemctl start docker, or Docker Desktop\), or/,
    ],
    [
      'gone',
      { ok: false, reason: 'unable to resolve docker endpoint: context "x": context not found' },
      /; choose a context that/,
    ],
  ])('%s', async (_, result, remedy) => {
    const { ctx, tools } = looking(() => ({ docker: {} }));
    Object.assign(ctx, { runner: { probe: async () => result } });
    const choice = { candidates: ['docker' as const], reason: 'the driver' };
    expect(await refusalFrom(() => findEngine(ctx, tools.directory, choice, forLaunch(ctx, 'linux', UID)))).toMatch(
      remedy,
    );
  });

  test('AL-8: for root it is the service of the system', () => {
    const facts = { env: {}, platform: 'linux', uid: 0, startDirectory: '/', printed: undefined } as const;
    expect(PODMAN.api.places(facts)).toMatchObject({ sockets: expect.arrayContaining(['/run/podman/podman.sock']) });
    expect(PODMAN.api.start('linux', 0)).toMatch(/^run: systemctl start podman\.socket /);
    expect(PODMAN.api.start('linux', UID)).toMatch(/^run: systemctl --user start podman\.socket /);
  });

  test('on the socket: one that takes connections and does not respond', { timeout: 15_000 }, async () => {
    const { find, sockets } = looking(({ docker }) => ({ docker: { api: docker } }));
    const server = createServer().listen(sockets.docker);
    onTestFinished(() => void server.close());
    expect(await refusalFrom(() => find('docker'))).toMatch(/does not respond within 5 s; find out why it hangs/);
    const other = looking(({ docker }) => ({ docker: { api: docker, info: DOCKER_INFO } }));
    const speaks = createServer((socket) => void socket.end('SSH-2.0-x\r\n')).listen(other.sockets.docker);
    onTestFinished(() => void speaks.close());
    expect(await refusalFrom(() => other.find('docker'))).toMatch(/does not respond as an engine; start Docker/);
  });
});
