// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LibkrunConfig } from '../../../../lib/vm/libkrun/config.ts';
import { resolveLibkrunConfig } from '../../../../lib/vm/libkrun/config.ts';
import { kernelCommands } from '../../../../lib/vm/libkrun/plan.ts';
import { findCargo, findTools } from '../../../../lib/vm/libkrun/tools.ts';
import { FakeCheckout } from '../../../support/fake-rust.ts';
import { inProcess } from '../../../support/in-process.ts';
import { refusalFrom } from '../../../support/task-errors.ts';

const HOST = { platform: 'linux', arch: 'amd64', isRoot: true, cpus: 4 } as const;

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
    const { build } = kernelCommands({ config: here.config, installs: [], tools, path: '/x:/bin' }, 'linux-6');
    expect(build.base.PATH).toBe(`${here.config.directory}/shims:/x:/bin`);
  });

  test('neither: the reason of each', async () => {
    const here = place();
    addSystemPython(here, 'echo old >&2; exit 1');
    here.checkout.tools.add('python3', [{ args: ['-c'], script: 'echo no elftools >&2; exit 1' }]);
    expect(await refusalFrom(() => find(here))).toMatch(
      /^2: libkrunfw needs python3 with pyelftools \(\S+python3: no elftools; \S+python3: old\); install the package python3-pyelftools$/,
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

  test('none: what to install, and what was named', async () => {
    const here = place([]);
    expect(await refusalFrom(() => find(here, { libclang: '/nowhere' }))).toBe(
      "2: libkrun needs libclang.so, which is not here; LIBCLANG_PATH is '/nowhere', which has none either; " +
        'install libclang-dev (clang-devel), or set LIBCLANG_PATH to its directory',
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
