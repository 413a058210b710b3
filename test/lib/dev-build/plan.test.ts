// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { type CargoSettings, cargoSettings } from '../../../lib/cargo/config-files.ts';
import type { Environment } from '../../../lib/cli/env.ts';
import { type LaunchBuildOptions, resolveLaunchBuildConfig } from '../../../lib/dev-build/config.ts';
import { planLaunchBuild } from '../../../lib/dev-build/plan.ts';
import type { Host } from '../../../lib/host.ts';
import { commandText } from '../../../lib/process/command.ts';
import { refusalOf } from '../../support/task-errors.ts';

const LINUX: Host = { platform: 'linux', arch: 'amd64' };
const MAC: Host = { platform: 'darwin', arch: 'arm64' };
const TOOLCHAIN = { prefix: [], hasZigbuild: false, hasRustup: true, zig: undefined };
/** Where nothing is set. */
const SETTINGS = cargoSettings([], {}, '/c');

interface Situation {
  readonly options?: LaunchBuildOptions;
  readonly env?: Environment;
  readonly root?: string;
  readonly host?: Host;
  readonly settings?: Partial<CargoSettings>;
  readonly features?: Readonly<Record<string, readonly string[]>>;
  readonly prefix?: readonly string[];
}

function plan(given: Situation = {}) {
  const { options = { withSupervisor: true }, env = {}, root = '/c', host = LINUX, features = {} } = given;
  const config = resolveLaunchBuildConfig(env, root, '/start', host, options);
  return planLaunchBuild(config, { ...TOOLCHAIN, prefix: given.prefix ?? [] }, new Map(Object.entries(features)), {
    ...SETTINGS,
    ...given.settings,
  });
}

/** The command, with the hashes of the scripts left out. */
function line(given: Situation = {}): string {
  return commandText(plan(given).command).replaceAll(/-[0-9a-f]{16}\b/g, '-HASH');
}

describe('without a supervisor: what a user would type', () => {
  const plain = { withSupervisor: false };

  test('no script, no directory, no variable', () => {
    expect(line({ options: plain })).toBe(
      'cargo build -p openshell-server --bin openshell-gateway --message-format=json-render-diagnostics',
    );
    expect(plan({ options: plain })).toMatchObject({
      scripts: [],
      directory: undefined,
      command: { cwd: '/c', env: {} },
    });
  });

  test('the same on a Mac, and whatever cargo is set to: it is not our business', () => {
    const settings = { wrapper: 'sccache', workspaceWrapper: 'w', targetDirectory: '/t', hasBuildDirectory: true };
    expect(line({ options: plain, host: MAC, settings })).toBe(line({ options: plain }));
  });

  test("the VM driver in the same run, with its runtime's directory", () => {
    const driver = { name: 'vm-driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' };
    const options = {
      withSupervisor: false,
      others: [driver],
      env: { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: '/c/t/vm' },
    };
    expect(line({ options, prefix: ['mise', 'x', '--'], env: { CARGO_BUILD_JOBS: '3' } })).toBe(
      'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR=/c/t/vm mise x -- cargo build -j 3 -p openshell-server --bin openshell-gateway ' +
        '-p openshell-driver-vm --bin openshell-driver-vm --message-format=json-render-diagnostics',
    );
  });

  test('a relative CARGO_TARGET_DIR is relative to where the user is', () => {
    expect(line({ options: plain, env: { CARGO_TARGET_DIR: 'out' } })).toMatch(/^CARGO_TARGET_DIR=\/start\/out cargo /);
  });
});

describe('with the supervisor: one run', () => {
  test('its binaries in a directory of ours, everything else where the user has it', () => {
    expect(line()).toBe(
      'RUSTC_WORKSPACE_WRAPPER=/c/target/openshell-tasks/static-rustc-HASH/static-rustc ' +
        'cargo build -p openshell-server --bin openshell-gateway -p openshell-sandbox --bin openshell-sandbox ' +
        '--target-dir /c/target/openshell-tasks/launch --config \'build.build-dir = "/c/target"\' ' +
        '--message-format=json-render-diagnostics',
    );
    expect(plan().directory).toBe('/c/target/openshell-tasks/launch');
  });

  test('C6: CARGO_TARGET_DIR, then what cargo is set to, then target', () => {
    const settings = { targetDirectory: '/set' };
    const directories = [plan({ env: { CARGO_TARGET_DIR: '/named' }, settings }), plan({ settings }), plan()];
    expect(directories.map(({ directory }) => directory)).toEqual([
      '/named/openshell-tasks/launch',
      '/set/openshell-tasks/launch',
      '/c/target/openshell-tasks/launch',
    ]);
  });

  test('a build.build-dir of the user stays in force', () => {
    expect(line({ settings: { hasBuildDirectory: true } })).not.toContain('--config');
  });

  test.each([
    ['a "quoted" \\ directory', '--config', `'build.build-dir = "/a \\"quoted\\" \\\\ directory/target"'`],
    ['a{b}c', '--config', `'build.build-dir = "target"'`],
  ])('a checkout in /%s', (name, word, text) => {
    expect(line({ root: `/${name}` })).toContain(`${word} ${text}`);
  });

  test('a target directory outside that cargo would take for a template is not shared', () => {
    expect(line({ env: { CARGO_TARGET_DIR: '/x/{y}' } })).not.toContain('--config');
  });

  test('a feature goes to the packages that declare it, and has a directory of its own', () => {
    const env = { EXTRA_CARGO_FEATURES: 'telemetry bundled-z3 openshell-core/telemetry' };
    const features = {
      gateway: ['telemetry', 'bundled-z3', 'openshell-core/telemetry'],
      supervisor: ['telemetry', 'openshell-core/telemetry'],
    };
    expect(line({ env, features })).toContain(
      "--features 'openshell-server/telemetry openshell-server/bundled-z3 openshell-core/telemetry openshell-sandbox/telemetry' ",
    );
    expect(plan({ env, features }).directory).toMatch(/\/launch-[0-9a-f]{8}$/);
  });

  test('CARGO_BUILD_JOBS is checked', () => {
    expect(line({ env: { CARGO_BUILD_JOBS: '7' } })).toContain('cargo build -j 7 -p ');
    expect(refusalOf(() => plan({ env: { CARGO_BUILD_JOBS: '0' } }))).toMatch(/^2: CARGO_BUILD_JOBS is '0'; allowed/);
  });
});

describe("the user's wrappers", () => {
  const names = (given: Situation) => plan(given).scripts.map(({ path }) => path.split('/').at(-1));

  test('none: one script', () => {
    expect(names({})).toEqual(['static-rustc']);
    expect(plan().command.env).not.toHaveProperty('RUSTC_WRAPPER');
  });

  test('sccache stands behind one of ours', () => {
    const { command, scripts } = plan({ settings: { wrapper: 'sccache' } });
    expect(scripts.map(({ path }) => path)).toEqual([command.env.RUSTC_WORKSPACE_WRAPPER, command.env.RUSTC_WRAPPER]);
    expect(command.env.OPENSHELL_RUSTC_WRAPPER).toBe('sccache');
  });

  test('with and without sccache the artifacts are the same: cargo counts the workspace wrapper alone', () => {
    const [one, other] = [plan(), plan({ settings: { wrapper: 'sccache' } })];
    expect(other.command.env.RUSTC_WORKSPACE_WRAPPER).toBe(one.command.env.RUSTC_WORKSPACE_WRAPPER);
  });

  test("a workspace wrapper of the user's makes other artifacts", () => {
    const [one, other] = [plan(), plan({ settings: { workspaceWrapper: '/w' } })];
    expect(other.command.env.RUSTC_WORKSPACE_WRAPPER).not.toBe(one.command.env.RUSTC_WORKSPACE_WRAPPER);
  });
});

describe('targets', () => {
  const target = (name: string, host = LINUX) => plan({ settings: { targets: [name] }, host });

  test.each(['x86_64-unknown-linux-gnu', 'x86_64-unknown-linux-musl', 'host-tuple', 'my/target.json'])('%s', (name) => {
    expect(target(name).command.argv).toContain('build');
  });

  test.each([
    ['aarch64-unknown-linux-gnu', LINUX],
    ['x86_64-pc-windows-gnu', LINUX],
    ['x86_64-apple-darwin', LINUX],
    ['x86_64-apple-darwin', MAC],
  ])('%s cannot run on %o', (name, host) => {
    expect(refusalOf(() => target(name, host))).toBe(
      `2: cargo is set to build for '${name}', which this machine cannot run; ` +
        'unset CARGO_BUILD_TARGET, or change build.target in .cargo/config.toml',
    );
  });

  test('of several, one for this machine is enough', () => {
    const targets = ['aarch64-unknown-linux-gnu', 'x86_64-unknown-linux-gnu'];
    expect(plan({ settings: { targets } }).command.argv).toContain('build');
  });
});
