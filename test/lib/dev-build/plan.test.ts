// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { Toolchain } from '../../../lib/cargo/find-toolchain.ts';
import type { CargoSettings } from '../../../lib/cargo/settings.ts';
import type { Environment } from '../../../lib/cli/env.ts';
import { type DevBuildConfig, type DevBuildWishes, planDevBuild } from '../../../lib/dev-build/plan.ts';
import type { Host } from '../../../lib/host.ts';
import { commandText } from '../../../lib/process/command.ts';
import { resolveBuildOptions } from '../../../lib/stage/config.ts';
import { NOTHING_SET } from '../../support/cargo-settings.ts';
import { refusalOf } from '../../support/task-errors.ts';

const LINUX: Host = { platform: 'linux', arch: 'amd64' };
const MAC: Host = { platform: 'darwin', arch: 'arm64' };
const TOOLCHAIN: Omit<Toolchain, 'settings'> = {
  env: {},
  isFromMise: false,
  miseProblem: undefined,
  hasZigbuild: true,
  isZigOnPath: true,
  rustup: '/bin/rustup',
  rustc: '/bin/rustc',
  missingPrograms: [],
  zig: undefined,
};

interface Situation {
  readonly wishes?: Partial<DevBuildWishes>;
  readonly env?: Environment;
  readonly root?: string;
  readonly host?: Host;
  readonly settings?: Partial<CargoSettings>;
  readonly features?: Readonly<Record<string, readonly string[]>>;
  readonly toolchainEnv?: Environment;
  readonly hasZigbuild?: boolean;
}

function plan(given: Situation = {}) {
  const { wishes, env = {}, root = '/c', host = LINUX, features = {}, toolchainEnv = {} } = given;
  const hasZigbuild = given.hasZigbuild ?? true;
  const build = resolveBuildOptions(env, '/start');
  const config: DevBuildConfig = { supervisor: 'with-gateway', others: [], env: {}, ...wishes, root, host, build };
  const toolchain = { ...TOOLCHAIN, hasZigbuild, env: toolchainEnv, settings: { ...NOTHING_SET, ...given.settings } };
  return planDevBuild(config, toolchain, new Map(Object.entries(features)));
}

/** The directory of ours that the binaries appear in. */
function directoryOf(given: Situation = {}): string | undefined {
  const { argv } = plan(given).command;
  return argv[argv.indexOf('--target-dir') + 1];
}

/** The command, with the hashes of the scripts left out. */
function line(given: Situation = {}): string {
  return commandText(plan(given).command).replaceAll(/-[0-9a-f]{16}\b/g, '-HASH');
}

describe('without a supervisor: what a user would type', () => {
  const plain = { supervisor: undefined };

  test('no script, no directory, no variable', () => {
    expect(line({ wishes: plain })).toBe(
      'cargo build -p openshell-server --bin openshell-gateway --message-format=json-render-diagnostics',
    );
    expect(plan({ wishes: plain })).toMatchObject({
      scripts: [],
      command: { cwd: '/c', env: {} },
    });
  });

  test('the same on a Mac, and whatever cargo is set to: it is not our business', () => {
    const settings = { wrapper: 'sccache', workspaceWrapper: 'w', targetDirectory: '/t', buildDirectory: '/build' };
    expect(line({ wishes: plain, host: MAC, settings })).toBe(line({ wishes: plain }));
  });

  test("the VM driver in the same run, with its runtime's directory", () => {
    const driver = { name: 'vm-driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' };
    const wishes = {
      supervisor: undefined,
      others: [driver],
      env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: '/c/t/vm' },
    };
    expect(line({ wishes })).toBe(
      'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR=/c/t/vm cargo build -p openshell-server --bin openshell-gateway ' +
        '-p openshell-driver-vm --bin openshell-driver-vm --message-format=json-render-diagnostics',
    );
  });

  test('what comes with the tool chain is under the variables of the build, and not shown', () => {
    const toolchainEnv = { PATH: '/mise/cargo:/usr/bin', RUST_LOG: 'debug' };
    const wishes = { ...plain, env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: '/c/t/vm' } };
    const { command } = plan({ wishes, toolchainEnv });
    expect(command).toMatchObject({ base: toolchainEnv, env: wishes.env });
    expect(commandText(command)).toMatch(/^OPENSHELL_VM_RUNTIME_COMPRESSED_DIR=\/c\/t\/vm cargo build /);
  });

  test('a relative CARGO_TARGET_DIR is relative to where the user is', () => {
    expect(line({ wishes: plain, env: { CARGO_TARGET_DIR: 'out' } })).toMatch(/^CARGO_TARGET_DIR=\/start\/out cargo /);
  });
});

describe('with the supervisor: one run', () => {
  test('its binaries in a directory of ours, everything else where the user has it', () => {
    expect(line()).toBe(
      'RUSTC_WORKSPACE_WRAPPER=/c/target/openshell-tasks/static-rustc-HASH/static-rustc ' +
        'cargo build -p openshell-server --bin openshell-gateway -p openshell-sandbox --bin openshell-sandbox ' +
        '--target-dir /c/target/openshell-tasks/launch --config \'build.build-dir = "target"\' ' +
        '--message-format=json-render-diagnostics',
    );
  });

  test('C6: CARGO_TARGET_DIR, then what cargo is set to, then target', () => {
    const settings = { targetDirectory: '/set' };
    const named = { CARGO_TARGET_DIR: '/named' };
    expect([directoryOf({ env: named, settings }), directoryOf({ settings }), directoryOf()]).toEqual([
      '/named/openshell-tasks/launch',
      '/set/openshell-tasks/launch',
      '/c/target/openshell-tasks/launch',
    ]);
  });

  test('a build.build-dir of the user stays in force', () => {
    expect(line({ settings: { buildDirectory: '/build' } })).not.toContain('--config');
  });

  test('the directory that is shared is relative: a checkout may have braces, which cargo takes for a template', () => {
    expect(line({ root: '/a{b}c' })).toContain(`--config 'build.build-dir = "target"'`);
    expect(line({ env: { CARGO_TARGET_DIR: '/a "b"' } })).toContain(`--config 'build.build-dir = "../a \\"b\\""'`);
  });

  test('a feature goes to the packages that declare it', () => {
    const env = { EXTRA_CARGO_FEATURES: 'telemetry bundled-z3 openshell-core/telemetry' };
    const features = {
      gateway: ['telemetry', 'bundled-z3', 'openshell-core/telemetry'],
      supervisor: ['telemetry', 'openshell-core/telemetry'],
    };
    expect(line({ env, features })).toContain(
      "--features 'openshell-server/telemetry openshell-server/bundled-z3 openshell-core/telemetry openshell-sandbox/telemetry' ",
    );
  });
});

describe('a supervisor with a run of its own', () => {
  const CROSS = { supervisor: { arch: 'arm64', missing: [] } } as const;
  const cross = (given: Situation = {}) => {
    const planned = plan({ wishes: CROSS, ...given }).cross;
    if (planned === undefined) throw new Error('there is no run for the supervisor');
    return planned;
  };
  const crossLine = (given: Situation = {}) => commandText(cross(given).command);
  const OVERRIDES = 'CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG=0 CARGO_PROFILE_DEV_BUILD_OVERRIDE_STRIP=none';
  const ZIGBUILD = 'cargo zigbuild --target aarch64-unknown-linux-musl ';

  test('two runs, whose binaries are in a directory of ours, and the rest where the user has it', () => {
    const places = '--target-dir /c/target/openshell-tasks/cross --config \'build.build-dir = "target"\'';
    expect(line({ wishes: CROSS })).toBe(
      `cargo build -p openshell-server --bin openshell-gateway ${places} --message-format=json-render-diagnostics`,
    );
    expect(crossLine()).toBe(
      `CARGO_PROFILE_DEV_DEBUG=0 ${OVERRIDES} ${ZIGBUILD}-p openshell-sandbox --bin openshell-sandbox ` +
        `${places} --message-format=json-render-diagnostics`,
    );
    expect(cross()).toMatchObject({ addTarget: undefined, command: { cwd: '/c' } });
  });

  test.each([
    [LINUX, 'arm64', 'aarch64'],
    [{ platform: 'linux', arch: 'arm64' }, 'amd64', 'x86_64'],
    [MAC, 'arm64', 'aarch64'],
    [MAC, 'amd64', 'x86_64'],
    [LINUX, 'amd64', 'x86_64'],
  ] as const)('on %j for %s', (host, arch, cpu) => {
    const wishes = { supervisor: { arch, missing: [] } };
    expect(crossLine({ host, wishes })).toContain(` cargo zigbuild --target ${cpu}-unknown-linux-musl -p `);
  });

  test("the user's own amount of debug information counts", () => {
    const text = crossLine({ settings: { profileVariables: ['CARGO_PROFILE_DEV_DEBUG'] } });
    expect(text.startsWith(`${OVERRIDES} ${ZIGBUILD}`)).toBe(true);
  });

  test('a feature goes to the run whose binary declares it', () => {
    const given = { features: { gateway: ['bundled-z3'], supervisor: ['telemetry'] }, wishes: CROSS };
    expect(line(given)).toContain('--features openshell-server/bundled-z3 ');
    expect(line(given)).not.toContain('telemetry');
    expect(crossLine(given)).toContain('--features openshell-sandbox/telemetry ');
  });

  test('CARGO_TARGET_DIR and a build.build-dir of the user', () => {
    const env = { CARGO_TARGET_DIR: '/t' };
    const text = crossLine({ env, settings: { buildDirectory: '/build' } });
    expect(text).toContain(`CARGO_TARGET_DIR=/t CARGO_PROFILE_DEV_DEBUG=0 ${OVERRIDES} ${ZIGBUILD}-p `);
    expect(text).toContain('--target-dir /t/openshell-tasks/cross --message-format');
  });

  test('SUPERVISOR_LIBC is that of release builds', () => {
    expect(crossLine({ env: { SUPERVISOR_LIBC: 'glibc-static' } })).toBe(crossLine());
  });

  test('a Rust target that is missing', () => {
    const wishes = { supervisor: { arch: 'arm64', missing: ['aarch64-unknown-linux-musl'] } } as const;
    const { addTarget } = cross({ wishes });
    expect(addTarget && commandText(addTarget)).toBe('rustup target add aarch64-unknown-linux-musl');
  });

  test('without cargo-zigbuild cargo itself builds with musl, for this machine alone', () => {
    const native = { supervisor: { arch: 'amd64', missing: [] } } as const;
    expect(crossLine({ wishes: native, hasZigbuild: false })).toContain(
      ' cargo build --target x86_64-unknown-linux-musl ',
    );
    for (const host of [LINUX, MAC]) {
      expect(refusalOf(() => cross({ host, hasZigbuild: false }))).toMatch(
        /^2: the supervisor for arm64 cannot be built here without cargo-zigbuild and zig; /,
      );
    }
  });
});

describe("the user's wrappers", () => {
  const names = (given: Situation) => plan(given).scripts.map(({ path }) => path.split('/').at(-1));

  test('none: one script', () => {
    expect(names({})).toEqual(['static-rustc']);
    expect(plan().command.env).not.toHaveProperty('RUSTC_WRAPPER');
  });

  test('sccache is started by one of ours', () => {
    const { command, scripts } = plan({ settings: { wrapper: 'sccache' } });
    expect(scripts.map(({ path }) => path)).toEqual([command.env.RUSTC_WORKSPACE_WRAPPER, command.env.RUSTC_WRAPPER]);
    expect(command.env.OPENSHELL_RUSTC_WRAPPER).toBe('sccache');
  });

  test('with and without sccache the artifacts are the same: cargo counts the workspace wrapper alone', () => {
    const [one, other] = [plan(), plan({ settings: { wrapper: 'sccache' } })];
    expect(other.command.env.RUSTC_WORKSPACE_WRAPPER).toBe(one.command.env.RUSTC_WORKSPACE_WRAPPER);
  });

  test("a workspace wrapper of the user's gives other artifacts", () => {
    const [one, other] = [plan(), plan({ settings: { workspaceWrapper: '/w' } })];
    expect(other.command.env.RUSTC_WORKSPACE_WRAPPER).not.toBe(one.command.env.RUSTC_WORKSPACE_WRAPPER);
  });
});
