// SPDX-License-Identifier: Apache-2.0

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { both, findTool, isOlder, requireThing, requireTools, toolEnvironment } from './real-tools.ts';
import { temporaryDirectory } from './temporary.ts';
import { toolsDirectory } from './tool-table.ts';

/** A directory with programs that answer every question with one text. */
function programs(answers: Readonly<Record<string, string>>): string {
  const directory = temporaryDirectory();
  for (const [name, answer] of Object.entries(answers)) {
    writeFileSync(join(directory, name), `#!/bin/sh\necho '${answer}'\n`, { mode: 0o755 });
  }
  return directory;
}

afterEach(() => vi.unstubAllEnvs());

describe('finding', () => {
  const nowhere = { OPENSHELL_TASKS_TOOLS: '/nonexistent' };

  test('a pinned tool behind another version of it', () => {
    const [wrong, right] = [programs({ zig: '0.13.0' }), programs({ zig: '0.14.1' })];
    expect(findTool('zig', { ...nowhere, PATH: `${wrong}:${right}` })).toEqual({
      ok: true,
      path: join(right, 'zig'),
      version: '0.14.1',
    });
  });

  test('only another version: what is here is said, and how to get it', () => {
    const wrong = programs({ 'cargo-zigbuild': 'cargo-zigbuild 0.19.0' });
    expect(findTool('zigbuild', { ...nowhere, PATH: wrong })).toEqual({
      ok: false,
      name: 'cargo-zigbuild 0.22.3',
      reason: `cargo-zigbuild 0.22.3 is not here (${wrong}/cargo-zigbuild is 0.19.0); to get it: npm run tools`,
    });
  });

  test('the fetched one before PATH', () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'bin'));
    writeFileSync(join(directory, 'bin/sccache'), "#!/bin/sh\necho 'sccache 0.16.0'\n", { mode: 0o755 });
    const env = { OPENSHELL_TASKS_TOOLS: directory, PATH: programs({ sccache: 'sccache 0.16.0' }) };
    expect(findTool('sccache', env)).toMatchObject({ ok: true, path: join(directory, 'bin/sccache') });
    expect(toolEnvironment(env).PATH?.split(':')[0]).toBe(join(directory, 'bin'));
  });

  test.each([
    ['cargo 1.84.1 (66221abde 2024-11-19)', 'cargo 1.84.1 is too old, 1.85.0 or newer is needed; run: rustup update'],
    ['no version', expect.stringMatching(/cargo does not work; check: cargo --version$/)],
  ])('cargo that answers %s', (answer, reason) => {
    expect(findTool('cargo', { ...nowhere, PATH: programs({ cargo: answer }) })).toMatchObject({ ok: false, reason });
  });

  test('a Rust target is one with its directory in the sysroot of rustc', () => {
    const sysroot = temporaryDirectory();
    const directory = join(sysroot, 'lib/rustlib/aarch64-unknown-linux-musl/lib');
    mkdirSync(directory, { recursive: true });
    const env = { ...nowhere, PATH: programs({ rustc: sysroot }) };
    expect(findTool('musl-aarch64', env)).toMatchObject({ ok: true, path: directory });
    expect(findTool('musl-x86_64', env)).toMatchObject({ ok: false, name: 'Rust target x86_64-unknown-linux-musl' });
  });

  test('libc.a is there when the compiler knows its path', () => {
    expect(findTool('glibc-static', { ...nowhere, PATH: programs({ cc: 'libc.a' }) })).toMatchObject({ ok: false });
    expect(findTool('glibc-static', { ...nowhere, PATH: programs({ cc: '/usr/lib/libc.a' }) })).toMatchObject({
      ok: true,
      path: '/usr/lib/libc.a',
    });
  });
});

describe('what a test asks for', () => {
  test('is a reason to skip where it is missing', () => {
    vi.stubEnv('CI', '');
    vi.stubEnv('PATH', programs({ strace: '' }));
    const tools = requireTools('strace', 'busybox');
    expect(tools).toMatchObject({
      ok: false,
      reason: 'busybox is not on PATH',
      options: { skip: true, meta: { missingTools: ['busybox'] } },
    });
    expect(tools.path('strace')).toMatch(/\/strace$/);
    expect(() => tools.path('busybox')).toThrow('busybox is not on PATH');
  });

  test('is an error in CI where it is missing', () => {
    vi.stubEnv('PATH', '/nonexistent');
    vi.stubEnv('CI', 'yes');
    expect(() => requireTools('busybox')).toThrow('CI is set, so every tool has to be here: busybox is not on PATH');
    vi.stubEnv('CI', 'off');
    expect(requireTools('busybox').ok).toBe(false);
  });

  test('gives an environment without what would make tests differ', () => {
    vi.stubEnv('RUSTFLAGS', '-C debuginfo=2');
    vi.stubEnv('RUSTC_WRAPPER', 'sccache');
    vi.stubEnv('CARGO_HOME', '/somewhere/cargo');
    const { env } = requireTools();
    expect(env).toMatchObject({ CARGO_HOME: '/somewhere/cargo', PATH: expect.stringContaining('node_modules/.bin') });
    expect(env).not.toHaveProperty('RUSTFLAGS');
    expect(env).not.toHaveProperty('RUSTC_WRAPPER');
  });
});

test('the directory of tools is in the clone unless it is named', () => {
  expect(toolsDirectory({})).toBe(join(import.meta.dirname, '../../.tools'));
  expect(toolsDirectory({ OPENSHELL_TASKS_TOOLS: '/shared/tools' })).toBe('/shared/tools');
});

test('a thing beside tools: a test is skipped for what is missing of both, and all of it is named', () => {
  const tool = { skip: true, meta: { missingTools: ['git'] } };
  expect(requireThing('root', true, tool)).toEqual(tool);
  expect(both({ skip: false, meta: { missingTools: [] } }, tool)).toEqual(tool);
  expect(both(tool, tool).meta.missingTools).toEqual(['git', 'git']);
  expect(requireThing('root', false, tool)).toEqual({ skip: true, meta: { missingTools: ['git', 'root'] } });
  expect(requireThing('root', true)).toEqual({ skip: false, meta: { missingTools: [] } });
});

test.each([
  ['1.84.9', '1.85.0', true],
  ['1.85.0', '1.85.0', false],
  ['1.100.0', '1.85.0', false],
  ['0.99.99', '1.85.0', true],
  ['1.85.1', '1.85.0', false],
])('%s is older than %s: %s', (a, b, expected) => {
  expect(isOlder(a, b)).toBe(expected);
});
