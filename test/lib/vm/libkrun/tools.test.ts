// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LibkrunConfig } from '../../../../lib/vm/libkrun/config.ts';
import { resolveLibkrunConfig } from '../../../../lib/vm/libkrun/config.ts';
import { kernelCommands } from '../../../../lib/vm/libkrun/plan.ts';
import { findCargo, findTools, missingPackages } from '../../../../lib/vm/libkrun/tools.ts';
import { FakeCheckout } from '../../../support/fake-rust.ts';
import { fakeTools, inProcess } from '../../../support/in-process.ts';
import { refusalFrom } from '../../../support/task-errors.ts';

const HOST = { platform: 'linux', arch: 'amd64' } as const;

interface Place {
  readonly checkout: FakeCheckout;
  /** A root of the file system. */
  readonly system: string;
  readonly config: LibkrunConfig;
}

function place(libclang: readonly string[] = ['usr/lib/llvm-14/lib/libclang.so']): Place {
  const checkout = new FakeCheckout();
  checkout.tools.addSilent('git', 'make', 'python3');
  const pins = join(checkout.root, 'crates/openshell-driver-vm/runtime/pins.env');
  const system = join(checkout.tools.directory, 'system');
  for (const path of [pins, ...libclang.map((name) => join(system, name))]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }
  const env = { LIBKRUNFW_REF: 'x' };
  return { checkout, system, config: resolveLibkrunConfig(env, checkout.root, '/', HOST, false) };
}

function find({ checkout, config, system }: Place, changes: Partial<LibkrunConfig> = {}) {
  const ctx = inProcess(checkout.tools, { FAKE_APPS: checkout.apps });
  return findTools(ctx, { ...config, ...changes }, system);
}

/** A python of the system, which does what the script says. */
function addSystemPython({ system }: Place, script: string): string {
  const path = join(system, 'usr/bin/python3');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/bash\n${script}\n`, { mode: 0o755 });
  return path;
}

describe('BLD-3: python3 with pyelftools', () => {
  test("PATH's, where it has them", async () => {
    const here = place();
    addSystemPython(here, 'exit 0');
    const tools = await find(here);
    expect(tools.python).toBe(join(here.checkout.tools.bin, 'python3'));
  });

  test("else the system's, which alone comes before PATH", async () => {
    const here = place();
    const python = addSystemPython(here, 'exit 0');
    here.checkout.tools.add('python3', [{ args: ['-c'], script: 'echo no elftools >&2; exit 1' }]);
    const tools = await find(here);
    expect(tools.python).toBe(python);
    const { build } = kernelCommands({ config: { ...here.config, path: '/x:/bin' } }, 'linux-6');
    expect(build.base.PATH).toBe(`${here.config.directory}/shims:/x:/bin`);
  });

  test('neither: what to install', async () => {
    const here = place();
    addSystemPython(here, 'echo old >&2; exit 1');
    here.checkout.tools.add('python3', [{ args: ['-c'], script: 'echo no elftools >&2; exit 1' }]);
    expect(await refusalFrom(() => find(here))).toBe(
      '2: libkrunfw needs python3 with pyelftools; install the package python3-pyelftools',
    );
  });
});

describe('libclang', () => {
  test.each([
    [['usr/lib/llvm-9/lib/libclang.so', 'usr/lib/llvm-14/lib/libclang-14.so'], 'usr/lib/llvm-14/lib'],
    [['usr/lib/llvm-15/lib/libclang-cpp.so', 'usr/lib/x86_64-linux-gnu/libclang-14.so'], 'usr/lib/x86_64-linux-gnu'],
    [['usr/lib/llvm-15/lib/libclang.so.15', 'usr/lib64/libclang.so'], 'usr/lib64'],
  ])('%j: %s', async (files, directory) => {
    const here = place(files);
    expect((await find(here)).libclang).toBe(join(here.system, directory));
  });

  test("LIBCLANG_PATH, then llvm-config's", async () => {
    const here = place(['mine/libclang.so', 'llvm/libclang.so', 'usr/lib64/libclang.so']);
    const [mine, llvm] = ['mine', 'llvm'].map((name) => join(here.system, name));
    here.checkout.tools.add('llvm-config', [{ args: ['--libdir'], script: `echo ${llvm}` }]);
    expect((await find(here, { libclang: mine })).libclang).toBe(mine);
    expect((await find(here)).libclang).toBe(llvm);
    expect((await find(here, { libclang: '/nowhere' })).libclang).toBe(llvm);
  });

  test('none: what to install', async () => {
    const here = place([]);
    expect(await refusalFrom(() => find(here, { libclang: '/nowhere' }))).toBe(
      '2: libkrun needs libclang.so; install libclang-dev (clang-devel), or set LIBCLANG_PATH to its directory',
    );
  });
});

describe('cargo', () => {
  test('one that is too old, or fails: why, and what to do', async () => {
    const { checkout, config } = place();
    checkout.tools.add('cargo', [{ args: ['--version'], script: 'echo cargo 1.75.0' }]);
    const ctx = inProcess(checkout.tools);
    expect(await refusalFrom(() => findCargo(ctx, config))).toBe(
      "2: libkrun needs cargo 1.85 or newer, and that on PATH is '1.75.0'; run: rustup update, put ~/.cargo/bin first " +
        'on PATH, or set LIBKRUN_MIN_CARGO_VERSION',
    );
    checkout.tools.add('cargo', [{ args: ['--version'], script: 'echo no toolchain >&2; exit 1' }]);
    expect(await refusalFrom(() => findCargo(ctx, config))).toMatch(/^1: cargo --version failed with status 1 in /);
  });

  test.each([
    ['1.85.0', '1.85', true],
    ['1.84.9', '1.85', false],
    ['1.100.0', '1.85', true],
    ['2.0.0', '1.85.1', true],
    ['1.85.0', '1.85.1', false],
    ['1.9.0', '1.10', false],
  ])('%s is at least %s: %s', async (version, minCargo, expected) => {
    const { checkout, config } = place();
    checkout.tools.add('cargo', [{ args: ['--version'], script: `echo cargo ${version}` }]);
    const isFound = await findCargo(inProcess(checkout.tools), { ...config, minCargo }).then(
      () => true,
      () => false,
    );
    expect(isFound).toBe(expected);
  });
});

function missing(script: string, config: Partial<LibkrunConfig>, programs: readonly string[] = []) {
  const tools = fakeTools()
    .add('apt-get', [])
    .addSilent(...programs)
    .add('dpkg-query', [{ args: ['-W'], script }]);
  const ctx = inProcess(tools);
  return missingPackages(ctx, { root: tools.directory, installDeps: false, isRoot: false, ...config } as LibkrunConfig);
}

test('BLD-2: a user is told the command with sudo, root the one without', async () => {
  expect(await refusalFrom(() => missing('echo installed git', {}))).toMatch(
    /, or: sudo apt-get install -y build-essential python3 /,
  );
  expect(await refusalFrom(() => missing('echo installed git', { isRoot: true }))).toMatch(
    /, or: apt-get install -y build-/,
  );
});

test('BLD-2: with --install-deps they are installed by sudo', async () => {
  const config = { installDeps: true };
  const [update, install] = await missing('echo installed git', config, ['sudo']);
  expect(update?.argv).toEqual(['sudo', 'apt-get', 'update']);
  expect(install?.argv.slice(0, 5)).toEqual(['sudo', 'apt-get', 'install', '-y', 'build-essential']);
  expect(install?.argv).not.toContain('git');
});

test('a dpkg that fails is not one that has nothing installed', async () => {
  expect(await refusalFrom(() => missing('echo locked >&2; exit 2', { installDeps: true }, ['sudo']))).toMatch(
    /^2: dpkg-query .* failed with status 2 in .*: locked$/,
  );
});
