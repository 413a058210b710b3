// SPDX-License-Identifier: Apache-2.0

/** What is the VM driver's own in a launch: its runtime, bundle, state and GPU. `test/flows/gateway-launch` has the rest. */

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { embeddingProblem } from '../../lib/vm/runtime-files.ts';
import { buildElf } from '../support/elf-builder.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { FakeRuntime, PATHS } from '../support/fake-runtime.ts';
import { freePort } from '../support/free-port.ts';
import { expectRefused, newLaunch, run } from '../support/launchers.ts';
import { onlyRoot, requireTools } from '../support/real-tools.ts';

const tools = requireTools('cc');

/** The lines on stderr, without the one on a machine whose user may not use /dev/kvm. */
function linesOf({ stderr }: { readonly stderr: string }): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('warning: no sandbox will start: '));
}

/** The driver that a launch has built. */
function driverOf({ root }: FakeLaunch): string {
  return join(root, 'target/debug/openshell-driver-vm');
}

describe('gateway:vm', tools.options, () => {
  /** A launch whose runtime is published, and not there. */
  async function withoutRuntime() {
    const fake = await FakeRuntime.start();
    const launch = new FakeLaunch({});
    launch.addPins();
    const launchIt = async (extra: Readonly<Record<string, string>> = {}) => {
      const state = { OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') };
      const env = await launch.launchEnv({ ...fake.releaseEnv(), ...state, FAKE_GATEWAY: 'exit 7', ...extra });
      return fake.suite.run('gateway-vm', ['--no-activate'], { cwd: launch.root, env });
    };
    return { fake, launch, launchIt, directory: join(launch.root, 'target/vm-runtime-compressed') };
  }

  test('C23: a runtime that is not complete is set up in process, and the driver embeds what was verified', async () => {
    const { directory, fake, launch, launchIt } = await withoutRuntime();
    const result = await launchIt();
    expect(result.status, result.stderr).toBe(7);
    expect(result.stderr).toMatch(/^==> VM runtime: libkrun\.so\.zst \(not there\), /m);
    expect(launch.tools.lines().filter((line) => line.startsWith('mise'))).toEqual([]);
    expect(embeddingProblem(driverOf(launch), directory, 'linux-x86_64')).toBeUndefined();
    expect(fake.server.requests).toHaveLength(1);
    const warm = await launchIt();
    expect(warm.status).toBe(7);
    expect(warm.stderr).not.toMatch(/NOT verified|^==> VM runtime/m);
    expect(fake.server.requests).toHaveLength(1);
  });

  test('VT-3: a runtime that nothing vouches for is not embedded without a word', async () => {
    const launch = newLaunch('vm');
    const text = /the VM runtime in \S+ is NOT verified; set it up: mise run vm:setup -- --force$/m;
    expect((await run(launch, 'vm', ['--dry-run'])).stdout).toMatch(text);
    const result = await run(launch, 'vm');
    expect(result.stderr).toMatch(text);
    expect(result.stderr.search(text)).toBeLessThan(result.stderr.indexOf('cargo build'));
  });

  test('VT-18: a runtime that is replaced while cargo runs does not start', async () => {
    const { directory, launch, launchIt } = await withoutRuntime();
    expect((await launchIt()).status).toBe(7);
    const replace = `echo evil > ${directory}/libkrun.so.zst`;
    launch.setCargo({ before: `if [[ " $* " == *" openshell-driver-vm "* ]]; then ${replace}; fi` });
    const result = await launchIt();
    expect([result.status, result.stderr]).toEqual([
      1,
      expect.stringMatching(/^error: the VM runtime in \S+ was replaced: libkrun\.so\.zst \(.*, and this again$/m),
    ]);
    expect(result.stderr).not.toContain('starting the VM gateway');
  });

  test('AM-18: of two launches at once one sets the runtime up, and the other waits for it', async () => {
    const { fake, launch, launchIt } = await withoutRuntime();
    const second = {
      ...{ OPENSHELL_GATEWAY_NAME: 'b', OPENSHELL_GATEWAY_STATE_DIR: join(launch.root, 'b') },
      OPENSHELL_SERVER_PORT: String(await freePort()),
      OPENSHELL_VM_DRIVER_STATE_DIR: join(launch.tools.directory, 'b'),
    };
    const first = { OPENSHELL_VM_DRIVER_STATE_DIR: join(launch.tools.directory, 'a') };
    const results = await Promise.all([launchIt(first), launchIt(second)]);
    expect(results.flatMap(({ status, stderr }) => [status, stderr])).toEqual([
      7,
      expect.any(String),
      7,
      expect.any(String),
    ]);
    expect(fake.server.requests).toHaveLength(1);
  });

  test('a runtime that is to be built is not downloaded, and no launch waits for the build', async () => {
    const { fake, launch, launchIt } = await withoutRuntime();
    const result = await launchIt({ FROM_SOURCE: '1' });
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/and FROM_SOURCE is set; build it first: mise run vm:setup -- --from-source$/m);
    expect([launch.builds(), fake.server.requests]).toEqual([[], []]);
  });

  test('C32: a runtime that cannot be verified ends the launch before the build', async () => {
    const { fake, launch, launchIt } = await withoutRuntime();
    fake.record(PATHS.runtime('linux-x86_64'), 'something else');
    const result = await launchIt();
    expect([result.status, result.stderr]).toEqual([1, expect.stringContaining('is refused: its SHA-256 is ')]);
    expect(launch.builds()).toEqual([]);
  });

  test('a driver that another cargo run has built without a part is noticed', async () => {
    const launch = newLaunch('vm');
    const hide =
      'cd "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR" 2>/dev/null && /bin/mv umoci.zst umoci.hidden; cd "$OLDPWD"';
    const show = 'trap \'/bin/mv "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR"/umoci.{hidden,zst}\' EXIT';
    launch.setCargo({ before: `if [[ " $* " == *" openshell-driver-vm "* ]]; then ${hide}; ${show}; fi` });
    const result = await run(launch, 'vm');
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(
      /^error: \S+\/openshell-driver-vm does not have umoci\.zst of \S+ in it; .*: run cargo clean -p openshell-driver-vm, and this again$/m,
    );
  });

  test('a wrong value for the bundle is one of the problems, each with its line', async () => {
    const launch = newLaunch('vm');
    const env = { SUPERVISOR_LIBC: 'bogus', OPENSHELL_SERVER_PORT: '0x50' };
    const result = await run(launch, 'vm', [], env);
    expectRefused(result, launch, /^error: SUPERVISOR_LIBC is 'bogus'/m, /^error: OPENSHELL_SERVER_PORT is '0x50'/m);
    expect(linesOf(result)).toHaveLength(2);
  });

  test('a runtime that cannot be set up does not hide a directory that cannot be written', async () => {
    const launch = new FakeLaunch({});
    const file = join(launch.root, 'file');
    writeFileSync(file, '');
    const result = await run(launch, 'vm', [], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: join(file, 'x') });
    expectRefused(
      result,
      launch,
      /^error: the versions of the VM runtime cannot be read; get the checkout's \S+pins\.env back/m,
      /cannot be written because of /,
    );
  });

  test('C22: the bundle is brought up to date at every start', async () => {
    const launch = newLaunch('vm');
    expect((await run(launch, 'vm')).status).toBe(0);
    const path = join(launch.root, 'target/vm-runtime-compressed/openshell-sandbox.zst');
    expect(zstdDecompressSync(readFileSync(path))).toEqual(readFileSync(join(launch.apps, 'x86_64')));
    launch.setApp('x86_64', { payload: 64 });
    expect((await run(launch, 'vm')).status).toBe(0);
    expect(zstdDecompressSync(readFileSync(path))).toEqual(readFileSync(join(launch.apps, 'x86_64')));
  });

  test('its options reach the driver as the values that it reads, from here and from gateway', async () => {
    for (const [task, args] of [
      ['gateway-vm', ['--gpu', '--gpu-mem-mib', '4096', '--gpu-vcpus=2']],
      ['gateway', ['--driver', 'vm', '--', '--gpu', '--gpu-mem-mib', '4096', '--gpu-vcpus=2']],
    ] as const) {
      const launch = newLaunch('vm');
      const extra = { OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's'), OPENSHELL_VM_GPU: 'YES' };
      expect((await launch.launch(task, args, extra)).status).toBe(0);
      expect(launch.served()?.env).toMatchObject({
        OPENSHELL_VM_GPU: 'true',
        OPENSHELL_VM_GPU_MEM_MIB: '4096',
        OPENSHELL_VM_GPU_VCPUS: '2',
      });
    }
  });

  test('the state of the driver: 0700, in the configuration and in the registry; a link is refused', async () => {
    const launch = newLaunch('vm');
    await run(launch, 'vm', [], { OPENSHELL_VM_GPU: 'off' });
    const directory = join(launch.tools.directory, 's/openshell-vm-driver-dev-vm-dev');
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(launch.toml('vm').openshell.drivers.vm).toMatchObject({ state_dir: directory, bootstrap_image: '' });
    expect(launch.entry('vm-dev')).toMatchObject({ vm_driver_state_dir: directory });
    expect(Object.keys(launch.served()?.env ?? {})).not.toContain('OPENSHELL_VM_GPU');
    const other = newLaunch('vm');
    mkdirSync(join(other.tools.directory, 's'));
    symlinkSync(directory, join(other.tools.directory, 's/openshell-vm-driver-dev-vm-dev'));
    expectRefused(await run(other, 'vm'), other, /which is a link/);
  });

  describe('L13: a driver that the user names', () => {
    /** A directory with a driver in it; without bytes, none. */
    const driverIn = (launch: FakeLaunch, bytes: Buffer | undefined, mode = 0o755): string => {
      const directory = join(launch.root, 'drv');
      mkdirSync(directory);
      if (bytes !== undefined) writeFileSync(join(directory, 'openshell-driver-vm'), bytes, { mode });
      return directory;
    };
    const { bytes: own } = buildElf({ machine: 62 });

    test('is checked and used as it is: its date is said, and nothing is built for it', async () => {
      const launch = new FakeLaunch({});
      const directory = driverIn(launch, own);
      utimesSync(join(directory, 'openshell-driver-vm'), new Date(), new Date(2025, 0, 2, 3, 4));
      // Relative to where the task is started.
      const options = { cwd: dirname(directory) };
      const dry = await run(launch, 'vm', ['--dry-run'], { OPENSHELL_DRIVER_DIR: 'drv' }, options);
      const said = `${directory}/openshell-driver-vm of 2025-01-02 03:04 (OPENSHELL_DRIVER_DIR)`;
      expect(dry.stdout).toContain(`# driver: ${said}\n`);
      const result = await run(launch, 'vm', [], { OPENSHELL_DRIVER_DIR: 'drv' }, options);
      expect(result.status).toBe(0);
      expect(result.stderr).toContain(`  driver       ${said}\n`);
      expect(launch.builds()).toEqual([
        expect.stringMatching(/^cargo build -p openshell-server --bin openshell-gateway /),
      ]);
      expect(launch.builds()[0]).not.toContain('driver');
      expect(launch.toml('vm').openshell.drivers.vm.driver_dir).toBe(directory);
      expect(readFileSync(join(directory, 'openshell-driver-vm'))).toEqual(own);
    });

    test.each([
      ['that is not there', undefined, 0o755, 'it has no file openshell-driver-vm'],
      ['that is not executable', own, 0o644, 'openshell-driver-vm is not executable'],
      ['for another machine', buildElf({ machine: 183 }).bytes, 0o755, 'is for aarch64, wanted amd64'],
      ['that is cut off', own.subarray(0, 40), 0o755, 'openshell-driver-vm'],
      ['that is a script', Buffer.from('#!/bin/sh\n'), 0o755, 'openshell-driver-vm'],
      ['that is empty', Buffer.alloc(0), 0o755, 'openshell-driver-vm'],
    ])('%s is refused', async (_, bytes, mode, reason) => {
      const launch = newLaunch('vm');
      const directory = driverIn(launch, bytes, mode);
      const result = await run(launch, 'vm', [], { OPENSHELL_DRIVER_DIR: directory });
      expectRefused(result, launch, new RegExp(`^error: OPENSHELL_DRIVER_DIR is '${directory}': .*${reason}`, 'm'));
      expect(linesOf(result)).toHaveLength(1);
    });

    test('where this launch builds it, it is built', async () => {
      const launch = newLaunch('vm');
      const result = await run(launch, 'vm', [], { OPENSHELL_DRIVER_DIR: 'target/debug' });
      expect(result.status).toBe(0);
      expect(result.stderr).toContain('  driver       built with the gateway\n');
      expect(launch.toml('vm').openshell.drivers.vm.driver_dir).toBe(join(launch.root, 'target/debug'));
    });
  });

  describe('P1: the state of the driver under sudo', onlyRoot(), () => {
    const USER = 1234;

    /** A launch of a user who called sudo, in directories of that user. */
    function sudoLaunch() {
      const launch = newLaunch('vm');
      const home = join(launch.tools.directory, 'user');
      mkdirSync(home);
      chownSync(home, USER, USER);
      for (const path of [dirname(launch.root), launch.tools.directory, join(launch.tools.directory, 'calls')]) {
        chmodSync(path, 0o777);
      }
      spawnSync('chown', ['-R', `${USER}:${USER}`, launch.root, launch.apps]);
      launch.tools.add('getent', [{ args: ['passwd'], script: `echo 'user:x:${USER}:${USER}::${home}:/bin/bash'` }]);
      // A user whom the password file does not know lives in /home, and the path leads from there to the test's own.
      const sudo = { SUDO_USER: `..${home}`, SUDO_UID: String(USER), SUDO_GID: String(USER), FAKE_GATEWAY_LOG: '' };
      return { launch, home, sudo };
    }
    const uid = (path: string) => statSync(path).uid;

    test.each([
      ['OPENSHELL_VM_DRIVER_STATE_ROOT', 'vm', 'vm/openshell-vm-driver-dev-vm-dev'],
      ['OPENSHELL_VM_DRIVER_STATE_DIR', 'vm/state', 'vm/state'],
    ])(
      '%s below a directory of the user’s: it is the driver’s, and the next run works too',
      async (name, value, at) => {
        const { launch, home, sudo } = sudoLaunch();
        for (const _ of ['first', 'next']) {
          const result = await run(launch, 'vm', [], { ...sudo, [name]: join(home, value) });
          expect(result.stderr).toContain('starting the VM gateway');
          expect(result.status).toBe(0);
          // The driver takes only a directory of the user that it runs as.
          expect([uid(join(home, at)), uid(join(home, 'vm'))]).toEqual([0, USER]);
        }
      },
    );

    test('one that the user has from a run without sudo becomes root’s, with its socket', async () => {
      const { launch, home, sudo } = sudoLaunch();
      const state = join(home, 'state');
      mkdirSync(join(state, 'run'), { recursive: true });
      mkdirSync(join(state, 'sandboxes'));
      const driver = createServer().listen(join(state, 'run/compute-driver.sock'));
      onTestFinished(() => void driver.close());
      await once(driver, 'listening');
      const all = ['', 'run', 'run/compute-driver.sock', 'sandboxes'].map((path) => join(state, path));
      for (const path of all) chownSync(path, USER, USER);
      expect((await run(launch, 'vm', [], { ...sudo, OPENSHELL_VM_DRIVER_STATE_DIR: state })).status).toBe(0);
      expect(all.map(uid)).toEqual([0, 0, 0, USER]);
    });

    test('one of a third user is refused before anything is built; below one of theirs it is root’s', async () => {
      const { launch, home, sudo } = sudoLaunch();
      const third = join(home, 'third');
      mkdirSync(third);
      chownSync(third, 4321, 4321);
      const refused = await run(launch, 'vm', [], { ...sudo, OPENSHELL_VM_DRIVER_STATE_DIR: third });
      expectRefused(refused, launch, /is a directory of another user \(uid 4321\)/);
      const dirs = {
        OPENSHELL_VM_DRIVER_STATE_DIR: join(third, 'driver'),
        OPENSHELL_VM_GATEWAY_STATE_DIR: join(third, 'gateway'),
      };
      for (const _ of ['first', 'next']) expect((await run(launch, 'vm', [], { ...sudo, ...dirs })).status).toBe(0);
      expect([uid(join(third, 'driver')), uid(join(third, 'gateway'))]).toEqual([0, 0]);
    });
  });

  test('P1: a state that cannot be created is found before anything is built', async () => {
    const launch = newLaunch('vm');
    writeFileSync(join(launch.root, 'file'), '');
    const result = await run(launch, 'vm', [], { OPENSHELL_VM_DRIVER_STATE_DIR: join(launch.root, 'file/x') });
    expectRefused(result, launch, /^error: OPENSHELL_VM_DRIVER_STATE_DIR is .*file\/x', which cannot be used/m);
    expect(existsSync(launch.state('vm'))).toBe(false);
  });

  test('a namespace and a pull policy have no effect, and that is said', async () => {
    const launch = newLaunch('vm');
    const extra = { OPENSHELL_SANDBOX_NAMESPACE: 'mine', OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: 'bogus' };
    const result = await run(launch, 'vm', [], extra);
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(/^warning: OPENSHELL_SANDBOX_NAMESPACE has no effect: /m);
    expect(result.stderr).toMatch(/^warning: OPENSHELL_SANDBOX_IMAGE_PULL_POLICY has no effect: /m);
  });
});
