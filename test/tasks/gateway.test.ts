// SPDX-License-Identifier: Apache-2.0

/** How `gateway` selects the driver. */

import { describe, expect, test } from 'vitest';
import { FakeLaunch } from '../support/fake-launch.ts';
import { expectRefused, newLaunch } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';

const tools = requireTools('cc');

describe('gateway', tools.options, () => {
  test('podman first, then docker; the engine is probed once', async () => {
    const launch = new FakeLaunch({ docker: {}, podman: { info: undefined, refusal: 'not running' } });
    expect((await launch.launch('gateway')).status).toBe(0);
    expect(launch.served()?.args).toContain('docker');
    expect(launch.tools.lines().filter((line) => line.startsWith('docker info'))).toHaveLength(1);
    expect(launch.entry('docker-dev')).toBeTruthy();
  });

  test('nothing responds: both reasons in one line', async () => {
    const launch = new FakeLaunch({
      docker: { info: undefined, refusal: 'no daemon' },
      podman: { info: undefined, refusal: 'no machine' },
    });
    expectRefused(await launch.launch('gateway'), launch, /^error: [^\n]*no machine[^\n]*no daemon[^\n]*\n$/);
  });

  test("the help of a driver's launcher, which has options of its own", async () => {
    const launch = newLaunch('vm');
    const help = await launch.launch('gateway', ['--driver', 'vm', '--', '--help']);
    expect(help.status).toBe(0);
    expect(help.stdout).toBe((await launch.launch('gateway-vm', ['--help'])).stdout);
  });

  test.each([
    [['--driver'], {}, /--driver needs a value/],
    [['--driver='], {}, /--driver needs a value/],
    [['--driver', 'lxc'], {}, /--driver is 'lxc'; allowed is one of docker/],
    [['--driver', 'vm'], { OPENSHELL_DRIVERS: 'vm' }, /give one of them/],
    [[], { OPENSHELL_DRIVERS: 'docker,vm' }, /a gateway has one driver/],
    [['--gpu'], {}, /unknown option '--gpu'; .*; a launcher-option stands after --: tasks\/gateway.ts -- --gpu; see/],
    [['--gpu-vcpus=2'], {}, /; a launcher-option stands after --: tasks\/gateway.ts -- --gpu-vcpus=2; see/],
    [['--gpuu'], {}, /unknown option '--gpuu'; allowed are --driver, .*, --help; see tasks\/gateway.ts --help/],
    [['--driver', 'docker', '--', '--gpu'], {}, /unknown option '--gpu'; .* see tasks\/gateway-docker.ts --help/],
  ] as const)('%j %j', async (args, extra, said) => {
    const launch = newLaunch('docker');
    expectRefused(await launch.launch('gateway', args, extra), launch, said);
  });
});
