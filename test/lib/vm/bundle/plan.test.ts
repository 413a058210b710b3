// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { Environment } from '../../../../lib/cli/env.ts';
import type { Host } from '../../../../lib/host.ts';
import { dayOf, resolveBundleConfig } from '../../../../lib/vm/bundle/plan.ts';
import { taskErrorOf } from '../../../support/task-errors.ts';

const LINUX: Host = { platform: 'linux', arch: 'amd64' };
const MAC: Host = { platform: 'darwin', arch: 'arm64' };

function resolve(env: Environment, host: Host = LINUX, archFlag?: string) {
  return resolveBundleConfig(env, '/checkout', '/start', host, archFlag);
}

describe("the guest's machine (H25: one value, however it is spelled)", () => {
  test.each([
    [undefined, undefined, LINUX, 'amd64'],
    [undefined, undefined, MAC, 'arm64'],
    ['aarch64', undefined, LINUX, 'arm64'],
    ['amd64', undefined, LINUX, 'amd64'],
    ['x86_64', undefined, MAC, 'amd64'],
    [undefined, 'arm64', LINUX, 'arm64'],
    ['aarch64', 'x86_64', LINUX, 'amd64'],
  ] as const)('GUEST_ARCH=%s, --arch %s', (variable, flag, host, arch) => {
    const config = resolve(
      { GUEST_ARCH: variable, PREBUILT_ARCH: 'arm64', DOCKER_PLATFORM: 'linux/arm64' },
      host,
      flag,
    );
    expect(config.artifact.arch).toBe(arch);
    expect(config.stage.arches).toEqual([arch]);
  });

  test.each([
    ['riscv64', undefined, "GUEST_ARCH is 'riscv64'; allowed are aarch64, arm64, x86_64, amd64"],
    ['x64', undefined, "GUEST_ARCH is 'x64'"],
    ['riscv64', 'amd64', "GUEST_ARCH is 'riscv64'"],
  ])('GUEST_ARCH=%s, --arch %s is refused', (variable, flag, message) => {
    expect(taskErrorOf(() => resolve({ GUEST_ARCH: variable }, LINUX, flag))).toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(message),
    });
  });

  test('a machine that is neither needs to be told', () => {
    expect(taskErrorOf(() => resolve({}, { platform: 'linux', arch: undefined })).message).toContain('neither');
    expect(resolve({}, { platform: 'linux', arch: undefined }, 'arm64').artifact.arch).toBe('arm64');
  });
});

describe('what is built, and where to', () => {
  test.each([
    [undefined, 'x86_64-unknown-linux-gnu', 'executable'],
    ['', 'x86_64-unknown-linux-gnu', 'executable'],
    ['musl', 'x86_64-unknown-linux-musl', 'static'],
    ['glibc-static', 'x86_64-unknown-linux-gnu', 'static'],
  ])('SUPERVISOR_LIBC=%s', (libc, triple, check) => {
    expect(resolve({ SUPERVISOR_LIBC: libc }).artifact).toMatchObject({ triple, check });
  });

  test('gnu is what it is without the variable, not a value of it', () => {
    expect(() => resolve({ SUPERVISOR_LIBC: 'gnu' })).toThrow('allowed are musl, glibc-static');
  });

  test.each([
    [undefined, '/checkout/target/vm-runtime-compressed'],
    ['/elsewhere', '/elsewhere'],
    ['rel/ative', '/start/rel/ative'],
  ])('OPENSHELL_VM_RUNTIME_COMPRESSED_DIR=%s (L11: relative to where the task was started)', (value, directory) => {
    const config = resolve({ OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: value });
    expect(config).toMatchObject({ directory, path: `${directory}/openshell-sandbox.zst` });
  });

  test('the rest is as in staging, wrong values included', () => {
    expect(resolve({ EXTRA_CARGO_FEATURES: 'a b', OPENSHELL_CARGO_VERSION: '1.2.3' }).stage).toMatchObject({
      components: [{ name: 'supervisor' }],
      build: { features: ['a', 'b'], version: '1.2.3' },
    });
    expect(() => resolve({ OPENSHELL_CARGO_VERSION: 'x' })).toThrow('OPENSHELL_CARGO_VERSION');
  });
});

test('a date for users', () => {
  expect(dayOf(new Date(2026, 0, 2, 3, 4))).toBe('2026-01-02 03:04');
});
