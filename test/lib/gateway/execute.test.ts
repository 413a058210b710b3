// SPDX-License-Identifier: Apache-2.0

import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { readCargoSettings } from '../../../lib/cargo/settings.ts';
import { whoHolds } from '../../../lib/fs/lock.ts';
import { DRIVERS } from '../../../lib/gateway/drivers/records.ts';
import { launch } from '../../../lib/gateway/execute.ts';
import { DOCKER_ARM_INFO } from '../../support/fake-engine.ts';
import { FakeLaunch } from '../../support/fake-launch.ts';
import { inProcess } from '../../support/in-process.ts';
import { newLaunch } from '../../support/launchers.ts';
import { requireTools } from '../../support/real-tools.ts';

vi.mock('../../../lib/cargo/settings.ts', { spy: true });

const tools = requireTools('cc');
const DRY_RUN = { 'dry-run': true, activate: false, 'no-activate': false };
const OTHER_MACHINE = { docker: { info: DOCKER_ARM_INFO } };

beforeEach(() => vi.clearAllMocks());

describe('what a launch depends on is read once, whoever needs it', tools.options, () => {
  test.each([
    ['docker', 'docker', () => newLaunch('docker'), {}, []],
    ['docker for another machine', 'docker', () => new FakeLaunch(OTHER_MACHINE), {}, ['rustc --print']],
    [
      'docker, release',
      'docker',
      () => newLaunch('docker'),
      { OPENSHELL_SUPERVISOR_PROFILE: 'release' },
      ['rustc --print'],
    ],
    ['podman', 'podman', () => newLaunch('podman'), {}, []],
    ['vm', 'vm', () => newLaunch('vm'), {}, ['rustc --print']],
    ['vm under another version', 'vm', () => newLaunch('vm'), { OPENSHELL_CARGO_VERSION: '1.2.3' }, ['rustc --print']],
    ['kubernetes', 'kubernetes', () => newLaunch('kubernetes'), {}, []],
  ] as const)('%s', async (_, driver, make, extra, others) => {
    const fake = make();
    fake.moveToMise();
    const env = await fake.launchEnv({ EXTRA_CARGO_FEATURES: 'bundled-z3', ...extra });
    const ctx = inProcess(fake.tools, env, fake.root);
    expect(await launch(ctx, DRIVERS[driver], DRY_RUN)).toBe(0);
    const probes = fake.tools.calls().filter(({ tool }) => ['mise', 'cargo', 'rustc', 'rustup'].includes(tool));
    expect(probes.map(({ tool, args }) => `${tool} ${args[0]}`)).toEqual(['mise env', 'cargo metadata', ...others]);
    expect(readCargoSettings).toHaveBeenCalledTimes(1);
  });

  test('without features cargo is not asked about the workspace', async () => {
    const fake = newLaunch('docker');
    const ctx = inProcess(fake.tools, await fake.launchEnv(), fake.root);
    expect(await launch(ctx, DRIVERS.docker, DRY_RUN)).toBe(0);
    expect(fake.tools.lines().filter((line) => line.startsWith('cargo'))).toEqual([]);
  });
});

test(
  'where a process cannot be replaced, the launch ends as its gateway does, and frees the place',
  tools.options,
  async () => {
    const fake = newLaunch('docker');
    const env = await fake.launchEnv({ FAKE_GATEWAY: 'exit 7' });
    const ctx = inProcess(fake.tools, env, fake.root);
    expect(await launch(ctx, DRIVERS.docker, { ...DRY_RUN, 'dry-run': false })).toBe(7);
    expect(fake.served()?.pid).not.toBe(process.pid);
    expect(await whoHolds({ path: join(fake.state('docker'), '.launch.lock'), remedy: '' })).toBeUndefined();
  },
);
