// SPDX-License-Identifier: Apache-2.0

/** What is built for a launch, with fake tools; `test/flows/dev-build.test.ts` has the real ones. */

import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findToolchain } from '../../../lib/cargo/find-toolchain.ts';
import { featuresByComponent, readWorkspace } from '../../../lib/cargo/metadata.ts';
import { devBuildLines, executeDevBuild, installSupervisor, verifySupervisor } from '../../../lib/dev-build/execute.ts';
import { binariesOf, type DevBuildConfig, type DevBuildWishes, planDevBuild } from '../../../lib/dev-build/plan.ts';
import type { Host } from '../../../lib/host.ts';
import { resolveBuildOptions } from '../../../lib/stage/config.ts';
import { buildElf, DYNAMIC_RECIPE, type Recipe } from '../../support/elf-builder.ts';
import type { FakeTools } from '../../support/fake-tools.ts';
import { fakeTools, type InProcess, inProcess } from '../../support/in-process.ts';
import { refusalFrom, refusalOf } from '../../support/task-errors.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOST: Host = { platform: 'linux', arch: 'amd64' };
const MAC: Host = { platform: 'darwin', arch: 'arm64' };
const X86_64 = 62;
const AARCH64 = 183;
const DYNAMIC = { machine: X86_64, ...DYNAMIC_RECIPE };
const STATIC = { machine: X86_64 };
const PLAIN = ['-p', 'openshell-server', '--bin', 'openshell-gateway'];
const JOINT = [...PLAIN, '-p', 'openshell-sandbox', '--bin', 'openshell-sandbox'];

class Fake {
  readonly tools: FakeTools = fakeTools();
  readonly root = join(this.tools.directory, 'checkout');
  /** What cargo prints, a line for each executable. */
  readonly #messages: object[] = [];

  constructor() {
    mkdirSync(this.root);
  }

  /** A binary that cargo "builds" at a path of its choosing. */
  builds(binary: string, recipe: Recipe | Buffer | undefined, path = `built/${binary}`, isFresh = false): this {
    const executable = join(this.root, path);
    mkdirSync(join(executable, '..'), { recursive: true });
    if (recipe !== undefined) {
      writeFileSync(executable, Buffer.isBuffer(recipe) ? recipe : buildElf(recipe).bytes, { mode: 0o755 });
    }
    const target = { kind: ['bin'], name: binary };
    this.#messages.push({ reason: 'compiler-artifact', target, fresh: isFresh, executable });
    return this;
  }

  /** @param before bash that runs first; `exit N` is a failing build */
  async build(
    wishes: Partial<DevBuildWishes> = {},
    extra: Readonly<Record<string, string>> = {},
    before = '',
    host = HOST,
  ) {
    const text = this.#messages.map((message) => JSON.stringify(message)).join('\n');
    this.tools.add('cargo', [
      { args: ['build'], script: `${before}\n/bin/cat <<'END'\n${text}\nEND` },
      { args: ['metadata'], script: `/bin/cat <<'END'\n${JSON.stringify(METADATA)}\nEND` },
    ]);
    const ctx = inProcess(this.tools, extra, this.root);
    const plan = await planned(ctx, this.root, wishes, host);
    return { plan, ctx, built: await executeDevBuild(ctx, plan) };
  }
}

/** Plans as a launch does. */
async function planned(ctx: InProcess, root: string, wishes: Partial<DevBuildWishes> = {}, host = HOST) {
  const build = resolveBuildOptions(ctx.env, ctx.startDirectory);
  const all: DevBuildWishes = { supervisor: 'with-gateway', others: [], env: {}, ...wishes };
  const config: DevBuildConfig = { ...all, root, host, build };
  const toolchain = await findToolchain(ctx, root, false);
  if (build.features.length === 0) return planDevBuild(config, toolchain, new Map());
  const { packages } = await readWorkspace(ctx.runner, toolchain, root, undefined);
  return planDevBuild(config, toolchain, featuresByComponent(build.features, binariesOf(config), packages));
}

const METADATA = {
  target_directory: '/nowhere',
  packages: [
    { name: 'openshell-server', features: { telemetry: [], 'bundled-z3': [] }, dependencies: [] },
    { name: 'openshell-sandbox', features: { telemetry: [] }, dependencies: [] },
    { name: 'openshell-driver-vm', features: { kvm: [] }, dependencies: [] },
  ],
};

function good(): Fake {
  return new Fake().builds('openshell-gateway', DYNAMIC).builds('openshell-sandbox', STATIC);
}

describe('one cargo run', () => {
  test('with the supervisor: both, verified, with their counts; nothing else is started', async () => {
    const fake = good();
    const { built, plan } = await fake.build();
    expect(built).toMatchObject({
      gateway: join(fake.root, 'built/openshell-gateway'),
      supervisor: { path: join(fake.root, 'built/openshell-sandbox') },
      others: new Map(),
      compiled: 2,
      total: 2,
    });
    const calls = fake.tools.calls();
    expect(calls.map(({ args }) => args.slice(0, 9))).toEqual([['build', ...JOINT]]);
    expect(calls[0]?.cwd).toBe(fake.root);
    expect(plan.scripts.map(({ path }) => statSync(path).mode & 0o777)).toEqual([0o755]);
  });

  test('without it: a plain build, no script, no directory of ours', async () => {
    const fake = new Fake().builds('openshell-gateway', DYNAMIC, 'target/debug/openshell-gateway', true);
    const { built } = await fake.build({ supervisor: undefined });
    expect(built).toMatchObject({ supervisor: undefined, compiled: 0, total: 1 });
    expect(fake.tools.calls()[0]?.args).toEqual(['build', ...PLAIN, '--message-format=json-render-diagnostics']);
    expect(fake.tools.calls()[0]?.env).not.toHaveProperty('RUSTC_WORKSPACE_WRAPPER');
    expect(existsSync(join(fake.root, 'target/openshell-tasks'))).toBe(false);
  });

  test('others, by their names', async () => {
    const driver = { name: 'vm-driver', package: 'openshell-driver-vm', binary: 'openshell-driver-vm' };
    const fake = good().builds('openshell-driver-vm', DYNAMIC);
    const { built } = await fake.build({ supervisor: undefined, others: [driver], env: { A: 'b' } });
    expect(built.others).toEqual(new Map([['vm-driver', join(fake.root, 'built/openshell-driver-vm')]]));
    expect(fake.tools.calls()[0]?.env.A).toBe('b');
  });

  test("cargo's own status when the build fails", async () => {
    expect(await refusalFrom(() => good().build(undefined, {}, 'exit 101'))).toMatch(/^101: .*cargo build .* failed/);
  });

  test("a Mac's gateway is not an ELF file and is taken as it is", async () => {
    const fake = new Fake().builds('openshell-gateway', Buffer.from('Mach-O'));
    const { built } = await fake.build({ supervisor: undefined }, {}, '', MAC);
    expect(built.gateway).toBe(join(fake.root, 'built/openshell-gateway'));
  });

  test('the dry run names the script, the command to paste and the check', async () => {
    const fake = good();
    const { ctx, plan } = await fake.build();
    const lines = devBuildLines(ctx.runner, plan);
    expect(lines).toEqual([
      `# writes ${plan.scripts[0]?.path}`,
      ctx.runner.describe(plan.command),
      '# checks openshell-sandbox: machine, complete, static',
    ]);
  });
});

describe('C6: the binary that cargo names is used, and no other', () => {
  test('an older one in target/debug is not looked at', async () => {
    const fake = good();
    for (const name of ['openshell-gateway', 'openshell-sandbox']) {
      mkdirSync(join(fake.root, 'target/debug'), { recursive: true });
      writeFileSync(join(fake.root, 'target/debug', name), 'old');
    }
    const { built } = await fake.build(undefined, { CARGO_TARGET_DIR: 'elsewhere' });
    expect(built.gateway).toBe(join(fake.root, 'built/openshell-gateway'));
    expect(built.supervisor?.path).toBe(join(fake.root, 'built/openshell-sandbox'));
    expect(fake.tools.calls()[0]?.env.CARGO_TARGET_DIR).toBe(join(fake.root, 'elsewhere'));
  });

  test('cargo names none: an error, whatever else is there', async () => {
    const fake = new Fake().builds('openshell-sandbox', STATIC);
    expect(await refusalFrom(() => fake.build())).toBe(
      '1: cargo has built no executable of openshell-gateway; check its build.target',
    );
  });

  test('of two targets the one for this machine', async () => {
    const fake = new Fake()
      .builds('openshell-gateway', { ...DYNAMIC, machine: AARCH64 }, 'arm/gateway')
      .builds('openshell-gateway', DYNAMIC, 'intel/gateway')
      .builds('openshell-sandbox', STATIC);
    expect((await fake.build()).built.gateway).toBe(join(fake.root, 'intel/gateway'));
  });

  test('none for this machine: an error', async () => {
    const fake = new Fake().builds('openshell-gateway', { ...DYNAMIC, machine: AARCH64 });
    expect(await refusalFrom(() => fake.build({ supervisor: undefined }))).toMatch(
      /^1: what was built cannot be used: .*openshell-gateway: is for aarch64/,
    );
  });
});

describe('C18: what goes into containers is static', () => {
  const whole = buildElf(STATIC).bytes;

  test.each<[string, Recipe | Buffer, RegExp]>([
    ['dynamic', DYNAMIC, /interpreter/],
    ['for another machine', { machine: AARCH64 }, /aarch64/],
    ['incomplete', whole.subarray(0, whole.length - 40), /./],
    ['not an ELF file', Buffer.from('#!/bin/sh\n'), /ELF/],
  ])('a supervisor that is %s is refused', async (_, recipe, reason) => {
    const fake = new Fake().builds('openshell-gateway', DYNAMIC).builds('openshell-sandbox', recipe);
    const refusal = await refusalFrom(() => fake.build());
    expect(refusal).toMatch(reason);
    expect(refusal).toMatch(/^1: what was built cannot be used: .*; check cargo's configuration and RUSTFLAGS$/);
  });
});

describe('features', () => {
  test('each for the packages that declare it; the workspace is read once', async () => {
    const fake = good();
    await fake.build(undefined, { EXTRA_CARGO_FEATURES: 'telemetry,bundled-z3' });
    const [metadata, built] = fake.tools.calls();
    expect(metadata?.args[0]).toBe('metadata');
    expect(built?.args).toContain('openshell-server/telemetry openshell-server/bundled-z3 openshell-sandbox/telemetry');
  });

  test('one that no package of this run declares is an error before anything is built', async () => {
    const fake = good();
    const refusal = await refusalFrom(() => fake.build(undefined, { EXTRA_CARGO_FEATURES: 'kvm' }));
    expect(refusal).toBe(
      "2: EXTRA_CARGO_FEATURES has 'kvm', which is no feature of openshell-server and openshell-sandbox; " +
        'allowed are bundled-z3, telemetry; change it or unset it',
    );
    expect(fake.tools.lines()).toEqual([expect.stringMatching(/^cargo metadata /)]);
  });
});

describe('H27: the recovery of a failing sccache that a wrapper of ours starts', () => {
  const FAILING = 'echo "sccache: error: failed to execute compile" >&2; exit 101';
  const isFirst = (n: number) => `[[ $FAKE_CALL == */${n} ]]`;

  test('its server is restarted, and the build is tried again', async () => {
    const fake = good();
    fake.tools.addSilent('sccache');
    const { ctx, built } = await fake.build(
      undefined,
      { RUSTC_WRAPPER: 'sccache' },
      `if ${isFirst(0)}; then ${FAILING}; fi`,
    );
    expect(built.supervisor?.path).toBe(join(fake.root, 'built/openshell-sandbox'));
    expect(fake.tools.lines().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'cargo build',
      'sccache --stop-server',
      'sccache --start-server',
      'cargo build',
    ]);
    expect(ctx.screen.stderr()).toContain('warning: sccache failed, not the build; restarting its server under');
  });

  test('the last try is without sccache and keeps the static supervisor', async () => {
    const fake = good();
    fake.tools.addSilent('sccache');
    const before = `if [[ -n $RUSTC_WRAPPER ]]; then ${FAILING}; fi`;
    const { ctx } = await fake.build(undefined, { RUSTC_WRAPPER: 'sccache' }, before);
    const builds = fake.tools.calls().filter(({ tool }) => tool === 'cargo');
    expect(builds.map(({ env }) => env.RUSTC_WRAPPER?.split('/').at(-1))).toEqual([
      'rustc-wrapper',
      'rustc-wrapper',
      '',
    ]);
    expect(new Set(builds.map(({ env }) => env.RUSTC_WORKSPACE_WRAPPER)).size).toBe(1);
    expect(builds[0]?.env.RUSTC_WORKSPACE_WRAPPER).toMatch(/static-rustc$/);
    expect(ctx.screen.stderr()).toContain('warning: sccache failed, not the build; trying again without it');
  });

  test('a wrapper that is only in a file of cargo is found, too', async () => {
    const fake = good();
    mkdirSync(join(fake.root, '.cargo'));
    writeFileSync(join(fake.root, '.cargo/config.toml'), '[build]\nrustc-wrapper = "sccache"\n');
    const { plan } = await fake.build();
    expect(plan.command.env.OPENSHELL_RUSTC_WRAPPER).toBe('sccache');
  });
});

describe('a tool chain of mise', () => {
  test('the wrapper that mise sets is found, and cargo gets ours in its place', async () => {
    const fake = new Fake();
    const { root, tools } = fake;
    const provided = join(tools.directory, 'provided');
    mkdirSync(provided);
    tools.add('cargo', [{ args: ['build'], script: ':' }]);
    renameSync(join(tools.bin, 'cargo'), join(provided, 'cargo'));
    const env = { RUSTC_WRAPPER: 'sccache', PATH: `${provided}:${tools.bin}` };
    tools.add('mise', [{ args: ['env', '--json'], script: `echo '${JSON.stringify(env)}'` }]);
    const ctx = inProcess(tools, {}, root);
    const plan = await planned(ctx, root);
    expect(plan.command.env.OPENSHELL_RUSTC_WRAPPER).toBe('sccache');
    await ctx.runner.cargo(plan.command);
    const { RUSTC_WRAPPER, RUSTC_WORKSPACE_WRAPPER } = plan.command.env;
    expect(RUSTC_WRAPPER).toMatch(/\/rustc-wrapper$/);
    const [mise, call] = tools.calls();
    expect(mise).toMatchObject({ tool: 'mise', cwd: root });
    expect(call).toMatchObject({ tool: 'cargo', env: { ...env, RUSTC_WRAPPER, RUSTC_WORKSPACE_WRAPPER } });
    expect(call?.args[0]).toBe('build');
    const line = ctx.runner.describe(plan.command);
    expect(line).toContain(`RUSTC_WRAPPER=${RUSTC_WRAPPER} `);
    expect(line).not.toContain('mise');
  });
});

/** A static program; the payload tells them apart. */
function program(payload = 0): Buffer {
  return buildElf({ machine: 62, payload: payload * 64 }).bytes;
}

/** Puts a file in the place of another as a linker does: a new inode. */
function replace(path: string, bytes: Buffer): void {
  writeFileSync(`${path}.new`, bytes, { mode: 0o755 });
  renameSync(`${path}.new`, path);
}

function installation() {
  const directory = temporaryDirectory();
  const path = join(directory, 'openshell-sandbox');
  replace(path, program());
  return { directory, path, state: join(directory, 'state/openshell-sandbox') };
}

test('a supervisor for another machine is refused', () => {
  const { path } = installation();
  expect(verifySupervisor(path, 'amd64').path).toBe(path);
  expect(refusalOf(() => verifySupervisor(path, 'arm64'))).toMatch(/^1: .*x86-64/);
});

describe('installing', () => {
  test('copies it whole, makes the directory, and leaves the same one alone', () => {
    const { path, state } = installation();
    const built = verifySupervisor(path, 'amd64');
    expect(installSupervisor(built, state)).toBe('written');
    const { ino, mode } = statSync(state);
    expect(mode & 0o777).toBe(0o755);
    expect(ino).not.toBe(statSync(path).ino);
    expect(installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ino).toBe(ino);
  });

  test('one that is there is not touched', () => {
    const { path, state } = installation();
    const built = verifySupervisor(path, 'amd64');
    installSupervisor(built, state);
    installSupervisor(built, state);
    const { ctimeMs } = statSync(state);
    expect(installSupervisor(built, state)).toBe('unchanged');
    expect(statSync(state).ctimeMs).toBe(ctimeMs);
  });

  test('a running sandbox keeps the file that it has', () => {
    const { path, state } = installation();
    installSupervisor(verifySupervisor(path, 'amd64'), state);
    linkSync(state, `${state}.mounted`);
    replace(path, program(9));
    expect(installSupervisor(verifySupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(`${state}.mounted`)).toEqual(program());
    expect(readFileSync(state)).toEqual(program(9));
  });

  test('what a kill in the middle has left is swept, and half a file is never taken for it', () => {
    const { path, state } = installation();
    const built = verifySupervisor(path, 'amd64');
    mkdirSync(join(state, '..'));
    writeFileSync(join(state, '..', '.openshell-sandbox.999999.tmp'), 'half');
    writeFileSync(state, program().subarray(0, 100));
    expect(installSupervisor(built, state)).toBe('written');
    expect(readFileSync(state)).toEqual(program());
    expect(readdirSync(join(state, '..'))).toEqual(['openshell-sandbox']);
  });

  test('a link in its place is replaced, and what it points at is left alone', () => {
    const { directory, path, state } = installation();
    mkdirSync(join(state, '..'));
    writeFileSync(join(directory, 'other'), program());
    symlinkSync(join(directory, 'other'), state);
    expect(installSupervisor(verifySupervisor(path, 'amd64'), state)).toBe('written');
    expect(readFileSync(join(directory, 'other'))).toEqual(program());
  });

  test('what has taken its place since it was verified is verified, too', () => {
    const { path, state } = installation();
    const built = verifySupervisor(path, 'amd64');
    replace(path, buildElf({ machine: 183, payload: 192 }).bytes);
    expect(refusalOf(() => installSupervisor(built, state))).toMatch(/^1: what was built cannot be used: .*aarch64/);
    expect(readdirSync(join(state, '..'))).toEqual([]);
  });
});
