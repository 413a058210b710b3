// SPDX-License-Identifier: Apache-2.0

/** What is the VM driver's own in a launch: its runtime, bundle, state and GPU. `test/flows/gateway-launch` has the rest. */

import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { FakeLaunch } from '../support/fake-launch.ts';
import { expectRefused, newLaunch, run } from '../support/launchers.ts';
import { requireTools } from '../support/real-tools.ts';

const tools = requireTools('cc');

describe('gateway:vm', tools.options, () => {
  test('C23: a runtime with a part missing is set up first, and is checked again', async () => {
    const launch = new FakeLaunch({});
    const directory = launch.addRuntime(['libkrun.so.zst']);
    launch.tools.add('mise', [{ args: ['run', 'vm:setup'], script: ':' }]);
    const result = await run(launch, 'vm');
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`the VM runtime in ${directory} still has no libkrun.so.zst`);
    expect(launch.builds()).toEqual([]);
    launch.tools.add('mise', [
      {
        args: ['run', 'vm:setup'],
        script: '/bin/cp "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR"/{gvproxy,libkrun.so}.zst',
      },
    ]);
    expect((await run(launch, 'vm')).status).toBe(0);
  });

  test('a wrong value for the bundle is one of the problems, each with its line', async () => {
    const launch = newLaunch('vm');
    const env = { SUPERVISOR_LIBC: 'bogus', OPENSHELL_SERVER_PORT: '0x50' };
    const result = await run(launch, 'vm', [], env);
    expectRefused(result, launch, /^error: SUPERVISOR_LIBC is 'bogus'/m, /^error: OPENSHELL_SERVER_PORT is '0x50'/m);
    expect(result.stderr.trim().split('\n')).toHaveLength(2);
  });

  test('a runtime that cannot be set up does not hide a directory that cannot be written', async () => {
    const launch = new FakeLaunch({});
    const file = join(launch.root, 'file');
    writeFileSync(file, '');
    const result = await run(launch, 'vm', [], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: join(file, 'x') });
    expectRefused(
      result,
      launch,
      /^error: mise is not on PATH; the VM runtime in \S+ has no libkrun.so.zst, .*, which mise sets up; install it/m,
      /cannot be written to/,
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

  test('a namespace and a pull policy have no effect, and that is said', async () => {
    const launch = newLaunch('vm');
    const extra = { OPENSHELL_SANDBOX_NAMESPACE: 'mine', OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: 'bogus' };
    const result = await run(launch, 'vm', [], extra);
    expect(result.status).toBe(0);
    expect(result.stderr).toMatch(/^warning: OPENSHELL_SANDBOX_NAMESPACE has no effect: /m);
    expect(result.stderr).toMatch(/^warning: OPENSHELL_SANDBOX_IMAGE_PULL_POLICY has no effect: /m);
  });
});
