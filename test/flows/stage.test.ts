// SPDX-License-Identifier: Apache-2.0

/**
 * Staging with real cargo, cargo-zigbuild and zig, on the miniature with a link as wide as the real
 * one. This is where the fault that started the suite is seen, and seen to be gone.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeMiniature } from '../support/miniature.ts';
import { processesWith } from '../support/processes.ts';
import { requireTools } from '../support/real-tools.ts';
import { LOWER_TO_256, runProcess, SUITE_ROOT, type TaskOptions, type TaskResult } from '../support/run-task.ts';

const WIDTH = 400;
const BUILD_TIMEOUT_MS = 300_000;
const tools = requireTools(
  'cargo',
  'rustup',
  'zigbuild',
  'zig',
  'prlimit',
  'musl-x86_64',
  'musl-aarch64',
  'gnu-x86_64',
  'gnu-aarch64',
);
const runsHere = process.platform === 'linux' && process.arch === 'x64';

describe('real staging', tools.options, () => {
  let directory = '';
  let root = '';

  interface StageOptions extends Partial<TaskOptions> {
    readonly isLowered?: boolean;
    readonly isGroup?: boolean;
  }

  function stage(
    args: readonly string[],
    extra: Record<string, string>,
    options: StageOptions = {},
  ): Promise<TaskResult> {
    const lowered = options.isLowered === true ? ['--import', LOWER_TO_256] : [];
    const env = { ...tools.env, OPENSHELL_ROOT: root, ZIG: tools.path('zig'), ...extra };
    return runProcess(process.execPath, [...lowered, join(SUITE_ROOT, 'tasks/stage.ts'), ...args], {
      cwd: root,
      env,
      ...options,
    });
  }

  /** The next build has to link the supervisor again. */
  function touchSupervisor(): void {
    const now = new Date();
    utimesSync(join(root, 'crates/openshell-sandbox/src/main.rs'), now, now);
  }

  const staged = (arch: string, binary = 'openshell-sandbox') =>
    join(root, 'deploy/docker/.build/prebuilt-binaries', arch, binary);
  const version = (path: string) => execFileSync(path, ['--version'], { encoding: 'utf8' }).trim();
  const crates = (result: TaskResult) =>
    /(\d+) of (\d+) crates compiled/.exec(result.stderr)?.slice(1).map(Number) ?? [];

  function checkoutHash(): string {
    const files = [
      'Cargo.toml',
      'Cargo.lock',
      'crates/openshell-core/Cargo.toml',
      'crates/openshell-sandbox/Cargo.toml',
    ];
    return createHash('sha256')
      .update(files.map((name) => readFileSync(join(root, name), 'utf8')).join('\0'))
      .digest('hex');
  }

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-real-'));
    root = join(directory, 'checkout');
    makeMiniature({ at: root, width: WIDTH });
    const result = await stage(['supervisor'], {
      DOCKER_PLATFORM: 'linux/amd64,linux/arm64',
      OPENSHELL_BUILD_NOFILE_GUARD: 'on',
    });
    expect(result.stderr).not.toContain('error');
    expect(crates(result)[0]).toBeGreaterThan(2 * WIDTH);
  }, BUILD_TIMEOUT_MS);

  afterAll(() => rmSync(directory, { recursive: true, force: true }), BUILD_TIMEOUT_MS);

  describe.each([
    ['amd64', 'x86-64'],
    ['arm64', 'aarch64'],
  ])('the fault, for %s', (arch, machine) => {
    test(
      "unguarded at 256 open files the link dies with ProcessFdQuotaExceeded, and cargo's status passes through",
      async () => {
        touchSupervisor();
        const before = readFileSync(staged(arch));
        const result = await stage(
          ['supervisor'],
          { PREBUILT_ARCH: arch, OPENSHELL_BUILD_NOFILE_GUARD: 'off' },
          { isLowered: true },
        );
        expect(result.stderr).toContain('ProcessFdQuotaExceeded');
        expect(result).toMatchObject({ status: 101, stdout: '' });
        expect(readFileSync(staged(arch)).equals(before)).toBe(true);
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'through the runner it links',
      async () => {
        touchSupervisor();
        const result = await stage(
          ['supervisor'],
          { PREBUILT_ARCH: arch, OPENSHELL_BUILD_NOFILE_GUARD: 'on' },
          { isLowered: true },
        );
        expect(result.stderr).toContain('open-file limit raised for what this task runs: 256 -> 8192');
        expect(result).toMatchObject({ status: 0, stdout: `${staged(arch)}\n` });
        expect(result.stderr).toMatch(new RegExp(`${machine}, complete, static`));
        if (runsHere && arch === 'amd64') expect(version(staged(arch))).toBe('openshell-sandbox 0.0.0');
      },
      BUILD_TIMEOUT_MS,
    );
  });

  test('a second run compiles nothing and leaves the staged file alone', async () => {
    await stage(['supervisor'], { PREBUILT_ARCH: 'amd64' });
    const before = statSync(staged('amd64'));
    const result = await stage(['supervisor'], { PREBUILT_ARCH: 'amd64' });
    expect(crates(result)).toEqual([0, WIDTH + 4]);
    expect(result.stderr).toContain('unchanged: ');
    expect(statSync(staged('amd64')).ino).toBe(before.ino);
  });

  describe('a stamped version', () => {
    const stamped = (text: string, options: StageOptions = {}) =>
      stage(['supervisor'], { PREBUILT_ARCH: 'amd64', OPENSHELL_CARGO_VERSION: text }, options);

    test(
      "compiles the workspace's own crates again and no other, and the checkout is untouched",
      async () => {
        const before = checkoutHash();
        const result = await stamped('1.2.3');
        expect(crates(result)).toEqual([4, WIDTH + 4]);
        expect(checkoutHash()).toBe(before);
        if (runsHere) expect(version(staged('amd64'))).toBe('openshell-sandbox 1.2.3');
        expect(crates(await stamped('1.2.3'))).toEqual([0, WIDTH + 4]);
        // Nor does it cost the plain build anything.
        expect(crates(await stage(['supervisor'], { PREBUILT_ARCH: 'amd64' }))).toEqual([0, WIDTH + 4]);
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'two at once, each its own',
      async () => {
        const before = checkoutHash();
        const results = await Promise.all([
          stamped('2.0.0-rc.1+a.b'),
          stage(['gateway'], { PREBUILT_ARCH: 'amd64', OPENSHELL_CARGO_VERSION: '3.0.0' }),
        ]);
        expect(results.map((result) => result.status)).toEqual([0, 0]);
        expect(checkoutHash()).toBe(before);
        if (runsHere) {
          expect(version(staged('amd64'))).toBe('openshell-sandbox 2.0.0-rc.1+a.b');
          expect(version(staged('amd64', 'openshell-gateway'))).toBe('openshell-gateway 3.0.0');
        }
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'SIGKILL in the middle, and an edit of Cargo.toml during a build: both leave the checkout right',
      async () => {
        const before = checkoutHash();
        const killed = await stamped('4.0.0', {
          onStart: (child) =>
            child.stderr?.on('data', (text) => String(text).includes('Compiling') && child.kill('SIGKILL')),
        });
        expect(killed.signal).toBe('SIGKILL');
        expect(checkoutHash()).toBe(before);
        const manifest = join(root, 'Cargo.toml');
        const edited = stamped('4.0.0', {
          onStart: (child) => child.stderr?.once('data', () => appendFileSync(manifest, '# edited\n')),
        });
        expect((await edited).status).toBe(0);
        expect(readFileSync(manifest, 'utf8')).toMatch(/# edited\n$/);
        writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('# edited\n', ''));
        expect(checkoutHash()).toBe(before);
        if (runsHere) expect(version(staged('amd64'))).toBe('openshell-sandbox 4.0.0');
      },
      BUILD_TIMEOUT_MS,
    );
  });

  test(
    'C6: CARGO_BUILD_TARGET and build.target-dir do not mislead it: cargo says where its output is',
    async () => {
      const config = join(root, '.cargo/config.toml');
      const before = readFileSync(config, 'utf8');
      try {
        writeFileSync(config, `${before}\n[build]\ntarget-dir = "${join(directory, 'elsewhere')}"\n`);
        appendFileSync(join(root, 'crates/openshell-sandbox/src/main.rs'), '\n// changed\n');
        const result = await stage(['gateway'], {
          PREBUILT_ARCH: 'amd64',
          CARGO_BUILD_TARGET: 'aarch64-unknown-linux-gnu',
        });
        expect(result.status).toBe(0);
        const built = readFileSync(join(directory, 'elsewhere/x86_64-unknown-linux-gnu/release/openshell-gateway'));
        expect(readFileSync(staged('amd64', 'openshell-gateway')).equals(built)).toBe(true);
      } finally {
        writeFileSync(config, before);
      }
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    'the gateway for both architectures, with C compiled by the zig wrappers, for glibc 2.28',
    async () => {
      const result = await stage(['gateway'], { DOCKER_PLATFORM: 'linux/arm64,linux/amd64' });
      expect(result.status).toBe(0);
      expect(result.stderr.match(/complete, highest GLIBC symbol: GLIBC_2\.(\d+)/g)).toHaveLength(2);
      const verdict = await runProcess(
        process.execPath,
        [
          join(SUITE_ROOT, 'tasks/verify-glibc-symbols.ts'),
          '--arch',
          'arm64',
          '2.28',
          staged('arm64', 'openshell-gateway'),
        ],
        { cwd: '/', env: tools.env },
      );
      expect(verdict.status).toBe(0);
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "a compile error is cargo's own status, told once, and nothing is staged",
    async () => {
      const source = join(root, 'crates/openshell-sandbox/src/main.rs');
      const before = readFileSync(source, 'utf8');
      const old = statSync(staged('amd64')).ino;
      try {
        writeFileSync(source, `${before}\ncompile_error!("on purpose");\n`);
        const result = await stage(['supervisor'], { PREBUILT_ARCH: 'amd64' });
        expect(result).toMatchObject({ status: 101, stdout: '' });
        expect(result.stderr.match(/error: on purpose/g)).toHaveLength(1);
        expect(statSync(staged('amd64')).ino).toBe(old);
      } finally {
        writeFileSync(source, before);
      }
    },
    BUILD_TIMEOUT_MS,
  );

  describe('signals while real cargo compiles', () => {
    test.each([
      ['SIGINT', false],
      ['SIGTERM', false],
      ['SIGHUP', false],
      ['SIGINT', true],
      ['SIGTERM', true],
      ['SIGHUP', true],
    ] as const)(
      '%s (to the group: %s): nothing is left, 128+n',
      async (signal, isGroup) => {
        const extra = { PREBUILT_ARCH: 'amd64', CARGO_TARGET_DIR: join(root, 'target-signal') };
        rmSync(extra.CARGO_TARGET_DIR, { recursive: true, force: true });
        let sent = false;
        const result = await stage(['supervisor'], extra, {
          isGroup,
          onStart: (child) =>
            child.stderr?.on('data', (text) => {
              if (sent || !/Compiling wide-/.test(String(text))) return;
              sent = true;
              process.kill(isGroup ? -(child.pid ?? 0) : (child.pid ?? 0), signal);
            }),
        });
        expect(result.status).toBe(128 + constants.signals[signal]);
        expect(result.stderr).toContain(`error: stopped by ${signal}`);
        expect(processesWith(`CARGO_TARGET_DIR=${extra.CARGO_TARGET_DIR}`)).toEqual([]);
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'and then a second run works, in the directory of the last that was ended',
      async () => {
        const target = join(root, 'target-signal');
        const result = await stage(['supervisor'], { PREBUILT_ARCH: 'amd64', CARGO_TARGET_DIR: target });
        expect(result).toMatchObject({ status: 0, stdout: `${staged('amd64')}\n` });
      },
      BUILD_TIMEOUT_MS,
    );
  });
});
