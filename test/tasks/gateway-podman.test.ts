// SPDX-License-Identifier: Apache-2.0

/** What is podman's own in a launch: the image of the supervisor. `test/flows/gateway-launch` has the rest. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeLaunch } from '../support/fake-launch.ts';
import { expectRefused, newLaunch, run } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';

const tools = requireTools('cc');

describe('gateway:podman', tools.options, () => {
  test('H23: the registered endpoint follows the address that is listened on', async () => {
    for (const [bind, host] of [
      ['0.0.0.0', '127.0.0.1'],
      ['::1', '[::1]'],
    ]) {
      const launch = newLaunch('podman');
      await run(launch, 'podman', [], { OPENSHELL_BIND_ADDRESS: bind ?? '' });
      expect(launch.entry('podman-dev')).toMatchObject({ gateway_endpoint: `http://${host}:${launch.port}` });
    }
  });

  test('R3: the gateway gets the socket that was connected to, and no variable that would win over it', async () => {
    for (const named of ['', 'podman.sock']) {
      const launch = newLaunch('podman');
      const options = { cwd: launch.tools.directory };
      const result = await run(
        launch,
        'podman',
        [],
        { OPENSHELL_ROOT: launch.root, OPENSHELL_PODMAN_SOCKET: named },
        options,
      );
      expect(result.stderr).toContain(`engine       podman on ${launch.socket('podman')}\n`);
      expect(launch.toml('podman').openshell.drivers.podman.socket_path).toBe(launch.socket('podman'));
      expect(Object.keys(launch.served()?.env ?? {})).not.toContain('OPENSHELL_PODMAN_SOCKET');
    }
  });

  test('C18: a dynamic supervisor is refused', async () => {
    const launch = newLaunch('podman');
    launch.setApp('x86_64', 'dynamic');
    const result = await run(launch, 'podman');
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/^error: what was built cannot be used: .*libc/m);
    expect(launch.served()).toBeUndefined();
  });

  test('C5: what the environment says of images and releases stays out of a launch', async () => {
    const launch = newLaunch('podman');
    const publish = {
      DOCKER_PUSH: '1',
      IMAGE_REGISTRY: 'ghcr.io/prod',
      IMAGE_TAG: 'v1',
      DOCKER_PLATFORM: 'linux/arm64',
      DOCKER_OUTPUT: 'type=local,dest=o',
      CI: '1',
      PREBUILT_ARCH: 'arm64',
      CONTAINER_ENGINE: 'docker',
      OPENSHELL_CARGO_VERSION: 'not a version',
    };
    expect((await run(launch, 'podman', [], publish)).status).toBe(0);
    const lines = launch.tools.lines().filter((line) => line.startsWith('podman'));
    expect(lines.filter((line) => line.includes('push'))).toEqual([]);
    expect(lines.filter((line) => line.includes('build'))).toEqual([
      expect.stringMatching(/--platform linux\/amd64 .*-t openshell\/supervisor:dev /),
    ]);
    expect(launch.toml('podman').openshell.drivers.podman.supervisor_image).toBe('openshell/supervisor:dev');
    expect(existsSync(join(launch.root, 'deploy/docker/.build'))).toBe(false);
    const cargo = launch.tools.calls().find(({ tool }) => tool === 'cargo');
    expect(Object.keys(cargo?.env ?? {})).not.toContain('IMAGE_TAG');
  });

  test('AM-3: a gateway with another name has an image of its own', async () => {
    const launch = newLaunch('podman');
    const result = await run(launch, 'podman', [], { OPENSHELL_GATEWAY_NAME: 'two' });
    expect(result.status, result.stderr).toBe(0);
    expect(launch.toml('podman').openshell.drivers.podman.supervisor_image).toBe('openshell/supervisor:dev-two');
    const [build = ''] = launch.tools.lines().filter((line) => line.startsWith('podman build'));
    expect(build).toContain(' -t openshell/supervisor:dev-two ');
  });

  test('the image is built again only where something in it is new', async () => {
    const launch = newLaunch('podman');
    const builds = () => launch.tools.lines().filter((line) => line.startsWith('podman build')).length;
    for (const [change, expected] of [
      [() => undefined, 1],
      [() => undefined, 1],
      [() => launch.setApp('x86_64', { payload: 64 }), 2],
      [() => writeFileSync(join(launch.root, 'deploy/docker/Dockerfile.supervisor'), 'FROM scratch\n'), 3],
    ] as const) {
      change();
      expect((await run(launch, 'podman')).status).toBe(0);
      expect(builds()).toBe(expected);
    }
  });

  test('for another machine the image has the cross-built supervisor, in the dev profile, and nothing is staged', async () => {
    const info = { host: { arch: 'arm64' }, version: { Version: '5.0.0' } };
    const launch = new FakeLaunch({ podman: { info } });
    const result = await run(launch, 'podman');
    expect(result.status).toBe(0);
    expect(result.stderr).toContain('dev profile, static (cross-built for linux/arm64)');
    expect(launch.builds()[1]).toMatch(/^cargo zigbuild --target aarch64-unknown-linux-musl /);
    const [build = ''] = launch.tools.lines().filter((line) => line.startsWith('podman build'));
    expect(build).toContain('--platform linux/arm64 ');
    expect(build).toMatch(/--label com\.nvidia\.openshell\.supervisor=[0-9a-f]{64} /);
    expect(existsSync(join(launch.root, 'deploy/docker/.build'))).toBe(false);
  });

  test('a given image is used as it is, and has to exist', async () => {
    const launch = newLaunch('podman');
    expect((await run(launch, 'podman', [], { OPENSHELL_SUPERVISOR_IMAGE: 'given:1' })).status).toBe(0);
    expect(launch.toml('podman').openshell.drivers.podman.supervisor_image).toBe('given:1');
    expect(launch.tools.lines().filter((line) => line.startsWith('podman build'))).toEqual([]);
    const other = newLaunch('podman');
    expectRefused(
      await run(other, 'podman', [], { OPENSHELL_SUPERVISOR_IMAGE: 'absent:1' }),
      other,
      /OPENSHELL_SUPERVISOR_IMAGE is 'absent:1', which podman does not have \(no such image\)/,
    );
  });

  test('AL-13: an image with the name of an option is looked for like any other', async () => {
    const launch = newLaunch('podman');
    const result = await run(launch, 'podman', [], { OPENSHELL_SUPERVISOR_IMAGE: '--help' });
    expectRefused(result, launch, /OPENSHELL_SUPERVISOR_IMAGE is '--help', which podman does not have/);
  });

  test('a namespace has no effect, and that is said', async () => {
    const launch = newLaunch('podman');
    const result = await run(launch, 'podman', [], { OPENSHELL_SANDBOX_NAMESPACE: 'mine' });
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(/^warning: OPENSHELL_SANDBOX_NAMESPACE has no effect: /m);
  });
});
