// SPDX-License-Identifier: Apache-2.0

/** Probing engines, over fake ones. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { detectEngine, serverArch } from '../../../lib/engine/detect.ts';
import { addEngine, DOCKER_INFO, type FakeEngine, PODMAN_INFO } from '../../support/fake-engine.ts';
import type { FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, inProcess } from '../../support/in-process.ts';
import { refusalFrom } from '../../support/task-errors.ts';

/** Detects with these engines on PATH. */
function detecting(engines: { docker?: FakeEngine; podman?: FakeEngine }, extra: Record<string, string> = {}) {
  const tools = fakeTools();
  for (const [name, engine] of Object.entries(engines)) addEngine(tools, name as 'docker' | 'podman', engine);
  const ctx = inProcess(tools, extra);
  return { tools, screen: ctx.screen, detect: () => detectEngine(ctx, tools.directory) };
}

const infos = (tools: FakeTools) => tools.lines().filter((line) => line.includes(' info '));
const down = { info: undefined, refusal: 'Cannot connect to the socket. Is it running?' };

describe('what responds', () => {
  test('podman first, each probed once', async () => {
    const { tools, screen, detect } = detecting({ docker: {}, podman: { delay: 0.3 } });
    const engine = await detect();
    expect(engine).toMatchObject({ program: 'podman', record: { name: 'podman' } });
    expect(serverArch(engine)).toBe('amd64');
    expect(screen.stderr()).toBe('[container-engine] podman (it responds)\n');
    expect(infos(tools).sort()).toEqual(['docker info --format {{json .}}', 'podman info --format {{json .}}']);
  });

  test('H13: docker where podman is there and does not work, and why', async () => {
    const { screen, detect } = detecting({ docker: {}, podman: down });
    expect(await detect()).toMatchObject({ program: 'docker', record: { name: 'docker' } });
    expect(screen.stderr()).toBe(
      '[container-engine] docker (it responds; podman info: Cannot connect to the socket. Is it running?)\n',
    );
  });

  test('H16: an engine that hangs is not waited for when the other one is wanted more', async () => {
    const { tools, detect } = detecting({ docker: { delay: 60 }, podman: { delay: 0.3 } });
    const start = Date.now();
    expect((await detect()).program).toBe('podman');
    expect(Date.now() - start).toBeLessThan(10_000);
    // Nor does the probe outlive the detection.
    if (process.platform !== 'linux') return;
    const left = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => commandLine(pid).includes(tools.bin));
    expect(left.map(commandLine)).toEqual([]);
  });

  test('H17, AQ-14: neither responds: the words of both, on one line', async () => {
    const { detect } = detecting({
      docker: { info: undefined, refusal: 'permission denied\nwhile trying' },
      podman: down,
    });
    expect(await refusalFrom(detect)).toBe(
      '2: podman or docker does not respond: podman info: Cannot connect to the socket. Is it running?; ' +
        'docker info: permission denied\\nwhile trying; start it, or let this user use Docker (the group docker), ' +
        'or set CONTAINER_ENGINE to one that runs',
    );
  });

  test('neither is installed', async () => {
    expect(await refusalFrom(detecting({}).detect)).toBe(
      '2: podman or docker does not respond: podman is not on PATH; docker is not on PATH; install it, ' +
        'or set CONTAINER_ENGINE to one that runs',
    );
  });
});

describe('what is wanted', () => {
  test('an engine that is named, and the other one is not even probed', async () => {
    const { tools, screen, detect } = detecting({ docker: {}, podman: {} }, { CONTAINER_ENGINE: 'DOCKER' });
    expect((await detect()).program).toBe('docker');
    expect(screen.stderr()).toBe('[container-engine] docker (CONTAINER_ENGINE)\n');
    expect(infos(tools)).toHaveLength(1);
  });

  test('C8: the named one does not respond: nothing else is taken', async () => {
    const { detect } = detecting({ docker: down, podman: {} }, { OPENSHELL_E2E_DRIVER: 'docker' });
    expect(await refusalFrom(detect)).toMatch(
      /^2: docker does not respond \(OPENSHELL_E2E_DRIVER\): docker info: Cannot/,
    );
  });

  test('C8: docker 20.10, whose client ends with 0 without a daemon', async () => {
    const { detect } = detecting({ docker: { info: { ServerErrors: ['Cannot connect'], ClientInfo: {} } } });
    expect(await refusalFrom(detect)).toMatch(
      /^2: podman or docker does not respond: podman is not on PATH; docker info: Cannot connect; start Docker \(/,
    );
  });

  test('C34: docker 28, whose client has fields without values besides what the server said', async () => {
    const said = 'Error response from daemon: client version 1.99 is too new. Maximum supported API version is 1.41';
    const info = { Architecture: '', ServerVersion: '', ServerErrors: [said] };
    const { detect } = detecting({ docker: { info } }, { CONTAINER_ENGINE: 'docker' });
    expect(await refusalFrom(detect)).toBe(
      `2: docker does not respond (CONTAINER_ENGINE): docker info: ${said}; start Docker (sudo systemctl start docker, ` +
        'or Docker Desktop), or set CONTAINER_ENGINE to one that runs',
    );
  });

  test('H15: podman under the name docker is podman', async () => {
    const shim = { docker: { info: PODMAN_INFO } };
    const { tools, screen, detect } = detecting(shim);
    expect(await detect()).toMatchObject({ program: 'docker', record: { name: 'podman' } });
    expect(screen.stderr()).toBe('[container-engine] podman under the name docker (it responds)\n');
    expect(infos(tools)).toHaveLength(1);
    expect((await detecting(shim, { CONTAINER_ENGINE: 'podman' }).detect()).program).toBe('docker');
    expect(await refusalFrom(detecting(shim, { CONTAINER_ENGINE: 'docker' }).detect)).toMatch(
      /^2: docker does not respond \(CONTAINER_ENGINE\): docker is really podman; /,
    );
  });

  test('a program that is not an engine', async () => {
    const { detect } = detecting({ docker: { info: {} } });
    expect(await refusalFrom(detect)).toMatch(/docker is not a container engine/);
  });

  test('CONTAINER_ENGINE_QUIET says nothing, in the one dialect of booleans', async () => {
    const { screen, detect } = detecting({ docker: {} }, { CONTAINER_ENGINE_QUIET: 'Yes' });
    await detect();
    expect(screen.stderr()).toBe('');
    const wrong = detecting({ docker: {} }, { CONTAINER_ENGINE_QUIET: 'maybe' });
    expect(await refusalFrom(wrong.detect)).toMatch(/^2: CONTAINER_ENGINE_QUIET is 'maybe'/);
    expect(infos(wrong.tools)).toEqual([]);
  });

  test('an architecture that is not supported is an error when it is needed, never this machine in its place', async () => {
    const engine = await detecting({ docker: { info: { ...DOCKER_INFO, Architecture: 's390x' } } }).detect();
    expect(await refusalFrom(async () => serverArch(engine))).toBe(
      "2: the server of docker is of architecture 's390x'; allowed are amd64 and arm64; use another server",
    );
    const silent = await detecting({ docker: { info: { ServerVersion: '28' } } }).detect();
    expect(await refusalFrom(async () => serverArch(silent))).toMatch(
      /^2: the server of docker does not say its architecture/,
    );
  });
});

describe('the cluster', () => {
  const target = { CONTAINER_ENGINE_TARGET: 'local-k8s-cluster' };

  test.each([
    ["echo 'k3d-dev'", '[container-engine] docker (kube context k3d-dev)\n'],
    ['echo kind-x', /names no engine/],
    ['echo "error: current-context is not set" >&2; exit 1', /kubectl says: error: current-context is not set/],
    [':', /there is no current kube context/],
  ])('kubectl: %s', async (script, expected) => {
    const { tools, screen, detect } = detecting({ docker: {}, podman: {} }, target);
    tools.add('kubectl', [{ args: ['config', 'current-context'], script }]);
    if (expected instanceof RegExp) {
      expect(await refusalFrom(detect)).toMatch(expected);
      expect(infos(tools)).toEqual([]);
    } else {
      await detect();
      expect(screen.stderr()).toBe(expected);
    }
  });

  test('there is no kubectl', async () => {
    expect(await refusalFrom(detecting({ docker: {} }, target).detect)).toMatch(
      /kubectl is not on PATH; set CONTAINER_ENGINE/,
    );
  });
});

test('no probe has a token, so nothing that an engine says can hold one', async () => {
  const { tools, detect } = detecting(
    { docker: { info: undefined, refusal: '' } },
    { GITHUB_TOKEN: 'ghp_first', MISE_GITHUB_TOKEN: 'ghp_second' },
  );
  expect(await refusalFrom(detect)).not.toContain('ghp_');
  for (const { env } of tools.calls()) expect(JSON.stringify(env)).not.toContain('ghp_');
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // It has ended since.
    return '';
  }
}
