// SPDX-License-Identifier: Apache-2.0

/** What is docker's own in a launch, and the supervisor that every container gets. `test/flows/gateway-launch` has the rest. */

import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../support/elf-builder.ts';
import { contextOf, DOCKER_ARM_INFO } from '../support/fake-engine.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { expectRefused, newLaunch, run } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';
import { until } from '../support/until.ts';

const tools = requireTools('cc');
const AARCH64 = 183;
const ARM = { docker: { info: DOCKER_ARM_INFO } };

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
    expect(result.stderr).toMatch(/^error: what was built cannot be used: .*libc/m);
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

  test('H6: for another machine the supervisor is cross-built in the dev profile; no image, nothing staged', async () => {
    const launch = new FakeLaunch(ARM);
    const result = await run(launch, 'docker');
    expect(result.status).toBe(0);
    expect(result.stderr).toContain('dev profile, static (cross-built for linux/arm64)');
    expect(launch.builds()).toEqual([
      expect.stringMatching(/^cargo build -p openshell-server --bin openshell-gateway --target-dir .*tasks\/cross /),
      expect.stringMatching(/^cargo zigbuild --target aarch64-unknown-linux-musl -p openshell-sandbox .*tasks\/cross /),
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
    expect(existsSync(join(launch.root, 'deploy/docker/.build'))).toBe(false);
  });

  test.each<[string, Recipe | 'dynamic' | Buffer, RegExp]>([
    ['dynamic', 'dynamic', /is for x86-64, wanted arm64|dynamically linked/],
    ['dynamic and for arm64', { ...DYNAMIC_RECIPE, machine: AARCH64 }, /is dynamically linked/],
    ['for the machine of the gateway', {}, /is for x86-64, wanted arm64/],
    ['cut off', buildElf({ machine: AARCH64 }).bytes.subarray(0, 100), /./],
  ])('C18: a cross-built supervisor that is %s is refused', async (_, recipe, reason) => {
    const launch = new FakeLaunch(ARM);
    launch.setApp('aarch64', recipe);
    const result = await run(launch, 'docker');
    expect(result.status).toBe(1);
    const [error, ...more] = result.stderr.split('\n').filter((line) => line.startsWith('error: '));
    expect(error).toMatch(/^error: what was built cannot be used: /);
    expect(error).toMatch(reason);
    expect(more).toEqual([]);
    expect(launch.served()).toBeUndefined();
    expect(existsSync(join(launch.state('docker'), 'supervisor'))).toBe(false);
  });

  test('an address that others reach is warned of', async () => {
    const launch = new FakeLaunch();
    const { status, stderr } = await run(launch, 'docker', ['--dry-run'], { OPENSHELL_BIND_ADDRESS: '0.0.0.0' });
    expect(status).toBe(0);
    expect(stderr.split('\n').filter((line) => line.startsWith('warning: '))).toEqual([
      'warning: who reaches 0.0.0.0 can use the gateway without a login (OPENSHELL_BIND_ADDRESS)',
    ]);
    expect((await run(launch, 'docker', ['--dry-run'], { OPENSHELL_BIND_ADDRESS: '::1' })).stderr).not.toContain(
      'login',
    );
  });

  test('without cargo-zigbuild nothing is compiled for another machine', async () => {
    const launch = new FakeLaunch(ARM);
    rmSync(join(launch.tools.bin, 'cargo-zigbuild'));
    const result = await run(launch, 'docker');
    expectRefused(result, launch, /the supervisor for arm64 cannot be built here without cargo-zigbuild and zig/);
  });

  test('a cargo-zigbuild without zig is found out before anything is compiled', async () => {
    const launch = new FakeLaunch(ARM);
    rmSync(join(launch.tools.bin, 'zig'));
    const script = 'echo "Error: Failed to find zig" >&2; exit 1';
    launch.tools.add('cargo-zigbuild', [{ args: ['zig', 'ar', '--', '--version'], script }]);
    const result = await run(launch, 'docker');
    expectRefused(result, launch, /^error: cargo-zigbuild has no zig \(.*Failed to find zig.*; install it/m);
  });

  test('the gateway that runs is the one of this launch, whatever else is built in the meantime', async () => {
    const launch = new FakeLaunch(ARM);
    const other = join(launch.root, 'target/debug/openshell-gateway');
    const script = `if [[ $1 == zigbuild ]]; then /bin/mkdir -p ${dirname(other)}; echo other > ${other}; fi`;
    launch.setCargo({ before: script });
    expect((await run(launch, 'docker')).status).toBe(0);
    expect(readFileSync(other, 'utf8')).toBe('other\n');
    expect(launch.served()).toBeDefined();
  });

  test('a Rust target that is missing is installed first', async () => {
    const launch = new FakeLaunch(ARM);
    launch.removeTarget('aarch64-unknown-linux-musl', [{ args: ['target', 'add'], script: ':' }]);
    expect((await run(launch, 'docker')).status).toBe(0);
    const lines = launch.tools.lines().filter((line) => /^(rustup target|cargo)/.test(line));
    expect(lines.map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual([
      'rustup target add aarch64-unknown-linux-musl',
      'cargo build -p openshell-server',
      'cargo zigbuild --target aarch64-unknown-linux-musl',
    ]);
  });

  test('H27: a sccache that fails in the cross-build is restarted, and the build tried again', async () => {
    const launch = new FakeLaunch(ARM);
    launch.tools.addSilent('sccache');
    const once = `mark=${launch.tools.directory}/failed`;
    const fail = 'echo "sccache: error: failed to execute compile" >&2; exit 101';
    launch.setCargo({ before: `${once}; if [[ $1 == zigbuild && ! -e $mark ]]; then : > $mark; ${fail}; fi` });
    const result = await run(launch, 'docker', [], { RUSTC_WRAPPER: 'sccache' });
    expect(result.status).toBe(0);
    expect(launch.tools.lines().filter((line) => /^(sccache|cargo zigbuild)/.test(line))).toEqual([
      expect.stringMatching(/^cargo zigbuild/),
      'sccache --stop-server',
      'sccache --start-server',
      expect.stringMatching(/^cargo zigbuild/),
    ]);
  });

  test('there is no libc.a: the supervisor is built with musl, and it is said how to get the quick way', async () => {
    const launch = newLaunch('docker');
    launch.tools.add('cc', [{ args: ['-print-file-name=libc.a'], script: 'echo libc.a' }]);
    const result = await run(launch, 'docker');
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(/^warning: .*libc6-dev.*glibc-static/m);
    expect(result.stderr).toContain("dev profile, static (glibc's static archive is missing)");
    expect(launch.builds()[1]).toMatch(/^cargo zigbuild --target x86_64-unknown-linux-musl -p openshell-sandbox /);
  });

  test.each([
    ['natively', {}, 'x86_64'],
    ['for another machine', ARM, 'aarch64'],
  ])('release is asked for, %s: the staged supervisor', async (_, engines, cpu) => {
    const launch = new FakeLaunch({ docker: {}, ...engines });
    const result = await run(launch, 'docker', [], { OPENSHELL_SUPERVISOR_PROFILE: 'release' });
    expect(result.status).toBe(0);
    expect(result.stderr).toContain('release profile, static (OPENSHELL_SUPERVISOR_PROFILE=release)');
    expect(launch.builds()[0]).toContain(`--release --target ${cpu}-unknown-linux-musl`);
    const arch = cpu === 'x86_64' ? 'amd64' : 'arm64';
    expect(readFileSync(launch.staged(arch, 'openshell-sandbox'))).toEqual(readFileSync(join(launch.apps, cpu)));
  });

  test('a launch after a staging, and a staging after a launch: each uses its own binary', async () => {
    const launch = new FakeLaunch(ARM);
    const stage = () => launch.stage(['supervisor'], { PREBUILT_ARCH: 'arm64' });
    const path = launch.staged('arm64', 'openshell-sandbox');
    const built = (payload: number) => buildElf({ machine: AARCH64, payload }).bytes;
    launch.setApp('aarch64', built(16));
    expect((await stage()).status).toBe(0);
    launch.setApp('aarch64', built(32));
    expect((await run(launch, 'docker')).status).toBe(0);
    const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
    expect(readFileSync(path)).toEqual(built(16));
    expect(readFileSync(supervisor_bin)).toEqual(built(32));
    launch.setApp('aarch64', built(48));
    expect((await stage()).status).toBe(0);
    expect(readFileSync(path)).toEqual(built(48));
    expect(readFileSync(supervisor_bin)).toEqual(built(32));
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
