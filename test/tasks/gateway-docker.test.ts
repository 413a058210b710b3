// SPDX-License-Identifier: Apache-2.0

/** What is docker's own in a launch, and the supervisor that every container gets. `test/flows/gateway-launch` has the rest. */

import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contextOf } from '../support/fake-engine.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { expectRefused, newLaunch, run } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';
import { until } from '../support/until.ts';

const tools = requireTools('cc');
const ARM = { docker: { info: { Architecture: 'aarch64', ServerVersion: '1' } } };

describe('gateway:docker', tools.options, () => {
  test('H17, C8: an engine that does not respond is reported in its own words', async () => {
    const launch = new FakeLaunch({ docker: { info: undefined, refusal: 'permission denied on the socket' } });
    expectRefused(await run(launch, 'docker'), launch, /permission denied on the socket/);
  });

  test('R1: a daemon on another machine is refused in one line, while its probe still runs', async () => {
    const cases = [{ args: ['context', 'inspect'], script: `echo '${contextOf('ssh://far')}'` }];
    const launch = new FakeLaunch({ docker: { delay: 60, cases } });
    const result = await run(launch, 'docker');
    expectRefused(result, launch, /the context of docker leads to 'ssh:\/\/far'/);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  });

  test('C18: native Linux builds the supervisor static with the gateway, in one cargo run', async () => {
    const launch = newLaunch('docker');
    expect((await run(launch, 'docker')).status).toBe(0);
    expect(launch.builds()).toHaveLength(1);
    const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
    expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'x86_64')));
    expect(statSync(supervisor_bin).mode & 0o777).toBe(0o755);
  });

  test('C18: a dynamic supervisor is refused', async () => {
    const launch = newLaunch('docker');
    launch.setApp('x86_64', 'dynamic');
    const result = await run(launch, 'docker');
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/^error: the supervisor that was built cannot be used: .*libc/m);
    expect(launch.served()).toBeUndefined();
  });

  test('C6: what this run has built is what runs, wherever cargo puts it', async () => {
    const launch = newLaunch('docker');
    expect((await run(launch, 'docker')).status).toBe(0);
    launch.setApp('x86_64', { payload: 64 });
    const elsewhere = join(launch.tools.directory, 'elsewhere');
    expect((await run(launch, 'docker', [], { CARGO_TARGET_DIR: elsewhere })).status).toBe(0);
    const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
    expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'x86_64')));
    const pids = launch.gatewayCalls().map(({ pid }) => pid);
    expect(new Set(pids).size).toBe(pids.length);
    expect(existsSync(join(elsewhere, 'openshell-tasks/launch/debug/openshell-gateway'))).toBe(true);
  });

  test('H5: a launch for another machine that is stopped in its build leaves nothing beside the supervisor', async () => {
    const launch = new FakeLaunch(ARM);
    const mark = join(launch.tools.directory, 'building');
    launch.setCargo({ before: `: > ${mark}; /bin/sleep 30` });
    const onStart = (child: ChildProcess) => void until(() => existsSync(mark)).then(() => child.kill('SIGINT'));
    expect((await run(launch, 'docker', [], {}, { onStart })).status).toBe(130);
    expect(readdirSync(launch.state('docker')).filter((name) => name !== '.launch.lock')).toEqual([]);
  });

  test('H6: for another machine the supervisor comes from staging, and no image is built', async () => {
    const launch = new FakeLaunch(ARM);
    const result = await run(launch, 'docker');
    expect(result.status).toBe(0);
    expect(launch.builds()).toEqual([
      expect.stringContaining('zigbuild --release --target aarch64-unknown-linux-musl'),
      expect.stringMatching(/^cargo build -p openshell-server/),
    ]);
    expect(
      launch.tools
        .lines()
        .filter((line) => line.startsWith('docker'))
        .sort(),
    ).toEqual(['docker context inspect', 'docker info --format {{json .}}']);
    const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
    expect(supervisor_bin).toBe(join(launch.state('docker'), 'supervisor/arm64/openshell-sandbox'));
    expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'aarch64')));
  });

  test.each([
    ['release is asked for', { OPENSHELL_SUPERVISOR_PROFILE: 'release' }, 'echo /usr/lib/libc.a', /release profile/],
    ['there is no libc.a', {}, 'echo libc.a', /^warning: .*libc6-dev.*glibc-static/m],
  ])('%s: the staged supervisor', async (_, extra, script, said) => {
    const launch = newLaunch('docker');
    launch.tools.add('cc', [{ args: ['-print-file-name=libc.a'], script }]);
    const result = await run(launch, 'docker', [], extra);
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(said);
    expect(launch.builds()[0]).toContain('--release --target x86_64-unknown-linux-musl');
  });

  test('a profile that does not exist', async () => {
    const launch = newLaunch('docker');
    const result = await run(launch, 'docker', [], { OPENSHELL_SUPERVISOR_PROFILE: 'debug' });
    expectRefused(result, launch, /OPENSHELL_SUPERVISOR_PROFILE is 'debug'; allowed are dev, release/);
  });

  test('H31: a feature goes to the component that declares it, in whichever run it is built; cargo is asked once', async () => {
    const launch = newLaunch('docker');
    const staged = { OPENSHELL_SUPERVISOR_PROFILE: 'release' };
    const both = { ...staged, EXTRA_CARGO_FEATURES: 'bundled-z3,bundled-ca-roots' };
    expect((await run(launch, 'docker', [], both)).status).toBe(0);
    const [supervisor, gateway] = launch.builds();
    expect(supervisor).toMatch(/--features bundled-ca-roots/);
    expect(supervisor).not.toContain('bundled-z3');
    expect(gateway).toMatch(/--features openshell-server\/bundled-z3/);
    expect(gateway).not.toContain('bundled-ca-roots');
    const probes = launch.tools.lines().filter((line) => /^(cargo metadata|rustc) /.test(line));
    expect(probes).toEqual(['cargo metadata --format-version 1 --no-deps', 'rustc --print target-libdir']);
  });
});
