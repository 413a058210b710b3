// SPDX-License-Identifier: Apache-2.0

/** Dry runs on machines where something is missing: what could not be probed is marked, and nothing else changes. */

import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TEST_VARIABLE } from '../../lib/installer-test/execute.ts';
import { addKeycloakFiles } from '../support/fake-cluster.ts';
import { addDeb, debEnv } from '../support/fake-deb.ts';
import { addEngine, addWorkloads, DOCKER_ARM_INFO, type FakeEngine, imageCheckout } from '../support/fake-engine.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { FakeCheckout } from '../support/fake-rust.ts';
import { HOSTILE, UNPRINTABLE } from '../support/hostile.ts';
import { runTaskFile, SUITE_ROOT } from '../support/run-task.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** All tasks, so that a new one is tested as soon as it is there. */
const TASKS = readdirSync(join(SUITE_ROOT, 'tasks'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.replace(/\.ts$/, ''))
  .sort();

/** The arguments and variables without which a task is wrong usage. */
const NEEDED: Readonly<Record<string, { args?: readonly string[]; env?: Readonly<Record<string, string>> }>> = {
  'docker-build-image': { args: ['supervisor'] },
  'docker-publish-multiarch': { env: { DOCKER_REGISTRY: 'ghcr.io/org' } },
  'helm-k3s-local': { args: ['create'] },
  'keycloak-dev': { args: ['start'] },
  'setup-zig-cc-wrapper': { args: ['x86_64-unknown-linux-gnu.2.28', 'x86_64-unknown-linux-gnu.2.28', 'wrappers'] },
  'verify-glibc-symbols': { args: ['2.28', 'file'] },
  'verify-static-binary': { args: ['file'] },
  'verify-telemetry-compiled-out': { args: ['absent', 'file'] },
  'vm/package-vm-runtime': {
    args: ['--platform', 'linux-x86_64', '--build-dir', 'target/libkrun-build', '--output', 'out.tar.zst'],
  },
};

/** What depends on an action. */
const ACTIONS: readonly (readonly [string, ...string[]])[] = [
  ['adopt', '--worktrees'],
  ['docker-cleanup', '--all-projects', '--volumes'],
  ...['status', 'start', 'stop', 'delete'].map((action) => ['helm-k3s-local', action] as const),
  ...['status', 'stop'].map((action) => ['keycloak-dev', action] as const),
  ['keycloak-k8s-setup', '--teardown'],
];

/** Tasks with status 2: one for another platform, and the doctor, whose dry run is its run and finds what is missing. */
const REFUSING: Readonly<Record<string, string>> = {
  doctor: 'BAD  for gateways  podman or docker cannot carry a gateway: podman is not on PATH; docker is not on PATH',
  'vm/build-libkrun-macos': process.platform === 'darwin' ? '--kernel-dir is missing' : 'this builds on macOS only',
};

/** Tasks that build for an engine's server where nothing is said, and where that could be this machine's kind. */
const ENGINE_TASKS = ['docker-build-image', 'gateway', 'gateway-docker', 'gateway-podman'];
const ANY_ARCH = /amd64|arm64|x86_64|aarch64/;
const EXPLANATION = /^# <WHAT: WHY> stands for what could not be probed here: /;
/** What a dry run may start, besides. */
const QUERY =
  /^(\w+ (info|context inspect|buildx inspect|machine inspect)|rustc --print|cargo (metadata|--version)|rustup which|cc -print|cargo-zigbuild zig ar)/;

/** A directory for PATH, in which there is nothing but bash. */
function bareBin(): string {
  const bin = temporaryDirectory('bin');
  symlinkSync('/bin/bash', join(bin, 'bash'));
  return bin;
}

/** A checkout with all that tasks look at, and a copy of the suite. */
async function wholeCheckout(name?: string): Promise<FakeRuntime> {
  const fake = await FakeRuntime.start(name);
  fake.addBuild();
  const add = (path: string, text: string, mode = 0o644) => {
    mkdirSync(join(fake.root, path, '..'), { recursive: true });
    writeFileSync(join(fake.root, path), text, { mode });
  };
  for (const name of ['gateway', 'supervisor', 'ci']) add(`deploy/docker/Dockerfile.${name}`, 'FROM scratch\n');
  add('install.sh', `[ -n "\${${TEST_VARIABLE}:-}" ] || main\n`);
  add('scripts/bin/openshell', '#!/bin/bash\n', 0o755);
  add('mise.toml', '[task_config]\nincludes = ["tasks/*.toml"]\n');
  addWorkloads(fake.root);
  addKeycloakFiles(fake.root);
  addDeb(fake);
  return fake;
}

function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

describe('nothing but bash on PATH', () => {
  const rows = [...TASKS.map((task) => [task, ...(NEEDED[task]?.args ?? [])] as const), ...ACTIONS];
  const named = rows.map(([task, ...args]) => [[task, ...args].join(' '), task, args] as const);
  test.each(named)('DRY-1: %s --dry-run prints its plan, with status 0, and writes nothing', async (_, task, args) => {
    const fake = await wholeCheckout();
    const env = task === 'package-deb' ? debEnv(fake.root) : NEEDED[task]?.env;
    const before = filesIn(fake.root);
    const result = await fake.suite.run(task, [...args, '--dry-run'], {
      cwd: fake.root,
      env: { PATH: bareBin(), HOME: fake.tools.directory, OPENSHELL_ROOT: fake.root, ...env },
    });
    const refusal = REFUSING[task];
    expect(result.status, result.stderr).toBe(refusal === undefined ? 0 : 2);
    expect(`${result.stdout}${result.stderr}`).toContain(refusal ?? '');
    if (refusal === undefined) expect(result.stdout).not.toBe('');
    // A mark is never without its explanation.
    if (/<[\w ]+: [^>]+>/.test(result.stdout)) expect(result.stdout).toMatch(EXPLANATION);
    if (ENGINE_TASKS.includes(task)) expect(result.stdout).not.toMatch(ANY_ARCH);
    expect(filesIn(fake.root)).toEqual(before);
    expect(fake.server.requests).toEqual([]);
  });

  test.each(named)('F12: %s --dry-run in a checkout with any name breaks no line', async (_, task, args) => {
    const fake = await wholeCheckout(HOSTILE);
    const env = task === 'package-deb' ? debEnv(fake.root) : NEEDED[task]?.env;
    const { status, stdout, stderr } = await fake.suite.run(task, [...args, '--dry-run'], {
      cwd: fake.root,
      env: { PATH: bareBin(), HOME: fake.tools.directory, OPENSHELL_ROOT: fake.root, ...env },
    });
    const [, second = ''] = HOSTILE.split('\n');
    for (const line of `${stdout}${stderr}`.replace(/\n$/, '').split('\n')) {
      expect(line).not.toMatch(UNPRINTABLE);
      expect(line.startsWith(second.slice(0, 3))).toBe(false);
    }
    // Cargo and mise cannot be told of a name with a line break.
    if (status !== 0 && REFUSING[task] === undefined) expect(stderr).toMatch(/^error: /m);
  });

  test.each(TASKS)('DRY-2: %s --help, outside of any checkout', async (task) => {
    const cwd = temporaryDirectory();
    const result = await runTaskFile(task, ['--help'], { cwd, env: { PATH: bareBin(), HOME: cwd } });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toContain(`Usage: tasks/${task}.ts`);
  });

  test('DRY-2: the launcher of gateway tells its options without an engine', async () => {
    const { root, tools } = new FakeCheckout();
    const env = { PATH: bareBin(), HOME: tools.directory, OPENSHELL_ROOT: root };
    const result = await runTaskFile('gateway', ['--', '--help'], { cwd: root, env });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(/^Build and run a gateway/);
  });
});

const DOWN: FakeEngine = { info: undefined, refusal: 'Cannot connect to the daemon' };

describe('engines that do not respond', () => {
  const STATES: readonly (readonly ['docker' | 'podman', ...('docker' | 'podman')[]])[] = [
    ['docker'],
    ['podman'],
    ['docker', 'podman'],
  ];
  const CASES = STATES.flatMap((down) =>
    ENGINE_TASKS.flatMap((task) => ['dev', 'release'].map((profile) => [task, down, profile] as const)),
  );
  test.each(CASES)(
    'DRY-3: %s with %j down, %s: never the architecture of this machine',
    async (task, down, profile) => {
      const launch = new FakeLaunch({});
      for (const program of down) addEngine(launch.tools, program, DOWN);
      const args = [...(NEEDED[task]?.args ?? []), '--dry-run'];
      const result = await launch.launch(task, args, { OPENSHELL_SUPERVISOR_PROFILE: profile });
      expect(result.status, result.stderr).toBe(0);
      expect(result.stdout).toMatch(EXPLANATION);
      expect(result.stdout).toMatch(/<architecture: [\w ]+ not (reachable|on PATH)>/);
      expect(result.stdout).not.toMatch(ANY_ARCH);
      for (const line of launch.tools.lines()) expect(line).toMatch(QUERY);
    },
  );

  test('DRY-3: the one engine that is there is named, and its own reason is in the first line', async () => {
    const checkout = imageCheckout();
    addEngine(checkout.tools, 'docker', DOWN);
    const result = await runTaskFile('docker-build-image', ['supervisor', '--dry-run'], {
      cwd: checkout.root,
      env: checkout.env(),
    });
    expect(result.stdout).toMatch(/^# .*docker info: Cannot connect to the daemon; start Docker/);
    expect(result.stdout).toContain("'<architecture: docker not reachable>-unknown-linux-musl'");
    expect(result.stdout).toContain("docker buildx build --platform 'linux/<architecture: docker not reachable>'");
    expect(result.stdout).toContain("'<cache options: docker not reachable>'");
  });

  test('DRY-3: so do the tasks that ask for containers, images, clusters and services', async () => {
    const fake = await wholeCheckout();
    addEngine(fake.tools, 'docker', DOWN);
    for (const name of ['k3d', 'systemctl', 'sudo']) {
      fake.tools.add(name, [{ args: [], script: `echo "${name} refuses" >&2; exit 1` }]);
    }
    // A port in use may be that of what cannot be asked for.
    const { port } = new URL(fake.server.url);
    const env = fake.env({ KEYCLOAK_PORT: port, HELM_K3S_LB_HOST_PORT: port });
    const lines = async (task: string, ...args: readonly string[]) => {
      const result = await runTaskFile(task, [...args, '--dry-run'], { cwd: fake.root, env });
      expect(result.status, result.stderr).toBe(0);
      return result.stdout.split('\n');
    };
    expect((await lines('docker-cleanup', '--volumes'))[1]).toBe('# removes <stale images: docker not reachable>');
    expect((await lines('keycloak-dev', 'stop'))[1]).toBe(
      '# <container: docker not reachable>: the plan is for one that is there',
    );
    expect(await lines('keycloak-dev', 'status')).toContain(
      'the container openshell-keycloak in docker is <state: docker not reachable>',
    );
    expect((await lines('keycloak-dev', 'start'))[1]).toBe(
      '# <container: docker not reachable>: the plan is for none that is there',
    );
    expect(await lines('helm-k3s-local', 'create')).toContain(
      '# <cluster: k3d does not respond>: the plan is for one that does not exist',
    );
    const [reason, mark, command] = await lines('helm-k3s-local', 'start');
    expect(reason).toMatch(/^# .*k3d cluster list failed: k3d refuses/);
    expect([mark, command]).toEqual([
      '# <cluster: k3d does not respond>: the plan is for one that exists',
      'k3d cluster start openshell-dev',
    ]);
    expect((await lines('package-deb-install'))[0]).toMatch(
      /^# .*the user's systemd does not respond: systemctl refuses/,
    );
  });

  test('DRY-3: where it could be either, the engine is marked, and the driver is docker', async () => {
    const launch = new FakeLaunch({});
    for (const program of ['docker', 'podman'] as const) addEngine(launch.tools, program, DOWN);
    const gateway = await launch.launch('gateway', ['--', '--dry-run']);
    expect(gateway.stdout).toMatch(/^# .*; the commands are those of docker/);
    expect(gateway.stdout).toContain('--drivers docker ');
    const image = await launch.launch('docker-build-image', ['supervisor', '--dry-run']);
    expect(image.stdout).toContain("'<engine: podman and docker not reachable>' buildx build");
  });

  test('DRY-3: a docker that hangs is waited for once', { timeout: 60_000 }, async () => {
    const launch = new FakeLaunch({});
    addEngine(launch.tools, 'docker', { delay: 100 });
    const start = performance.now();
    const result = await launch.launch('gateway-docker', ['--dry-run']);
    expect(performance.now() - start).toBeLessThan(40_000);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/^# .*no response from docker info/);
    expect(result.stdout).not.toMatch(ANY_ARCH);
  });

  test('DRY-3: what an engine has said counts where only its API is out of reach', async () => {
    const launch = new FakeLaunch({});
    addEngine(launch.tools, 'docker', { info: DOCKER_ARM_INFO, api: join(launch.root, 'absent.sock') });
    const result = await launch.launch('gateway-docker', ['--dry-run']);
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/^# .*absent\.sock' does not exist/);
    expect(result.stdout).toContain('--target aarch64-unknown-linux-musl');
    expect(result.stdout).not.toContain('<architecture');
  });

  test('DRY-4: a builder that does not work, and a docker without buildx', async () => {
    const checkout = imageCheckout();
    for (const builder of [
      "echo 'cannot reach tcp://far' >&2; exit 1",
      'echo "docker: \'buildx\' is not a docker command." >&2; exit 1',
    ]) {
      addEngine(checkout.tools, 'docker', { builder });
      const env = checkout.env({ DOCKER_REGISTRY: 'ghcr.io/org' });
      const image = await runTaskFile('docker-build-image', ['gateway', '--dry-run'], { cwd: checkout.root, env });
      expect(image.stdout).toMatch(/^# .*(cannot reach tcp:\/\/far|docker has no plugin buildx)/);
      expect(image.stdout).toContain("'<cache options: builder not reachable>'");
      expect(image.stdout).toContain('--platform linux/amd64');
      const publish = await runTaskFile('docker-publish-multiarch', ['--dry-run'], { cwd: checkout.root, env });
      expect(publish.status, publish.stderr).toBe(0);
      expect(publish.stdout).toContain("--builder '<builder: not reachable>'");
    }
  });
});

describe('what the user has set', () => {
  test.each([
    ['docker-build-ci', { CONTAINER_ENGINE: 'dokcer' }, "CONTAINER_ENGINE is 'dokcer'"],
    ['docker-build-ci', { CONTAINER_ENGINE: 'docker', OPENSHELL_E2E_DRIVER: 'podman' }, 'asks for docker'],
    ['docker-cleanup', { IMAGE_TAG: 'a b' }, 'IMAGE_TAG is'],
    ['helm-k3s-local', { AGENT_SANDBOX_VERSION: 'x' }, "AGENT_SANDBOX_VERSION is 'x'"],
    ['keycloak-dev', { KEYCLOAK_PORT: 'x' }, "KEYCLOAK_PORT is 'x'"],
    ['package-deb-install', { OPENSHELL_DEB_VERSION: 'x' }, "OPENSHELL_DEB_VERSION is 'x'"],
    ['docker-build-image', { DOCKER_PLATFORM: 'linux/riscv64' }, "'linux/riscv64' is not supported"],
    ['stage', { ZIG: '/nonexistent/zig' }, "ZIG is '/nonexistent/zig'"],
    ['gateway-docker', { OPENSHELL_SERVER_PORT: 'x' }, "OPENSHELL_SERVER_PORT is 'x'"],
  ])('DRY-5: %s with %j stays an error', async (task, env, text) => {
    const { root, tools } = imageCheckout();
    const result = await runTaskFile(task, [...(NEEDED[task]?.args ?? []), '--dry-run'], {
      cwd: root,
      env: { PATH: bareBin(), HOME: tools.directory, OPENSHELL_ROOT: root, ...env },
    });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain(text);
  });

  test.each(['stage', 'gateway-docker'])('AQ-13: in %s a wrapper that is not there is unknown', async (task) => {
    const launch = new FakeLaunch();
    const set = { RUSTC_WRAPPER: 'sccache' };
    const dry = await launch.launch(task, ['--dry-run'], { ...set, MISE_TASK_NAME: 'task' });
    expect(dry.status, dry.stderr).toBe(0);
    expect(dry.stdout).toMatch(/^# <WHAT: WHY> .*RUSTC_WRAPPER is 'sccache', which is not an executable program/);
    expect((await launch.launch(task, [], { ...set, MISE_TASK_NAME: 'task' })).status).toBe(2);
  });

  test('DRY-5: so does a builder that does not exist, and an endpoint that is not of this machine', async () => {
    const launch = new FakeLaunch({});
    const refusal = 'echo \'ERROR: no builder "mine" found\' >&2; exit 1';
    const context = `echo '[{"Endpoints":{"docker":{"Host":"ssh://far"}}}]'`;
    addEngine(launch.tools, 'docker', { builder: refusal, cases: [{ args: ['context', 'inspect'], script: context }] });
    const image = await launch.launch('docker-build-image', ['supervisor', '--dry-run'], { DOCKER_BUILDER: 'mine' });
    expect(image).toMatchObject({ status: 2, stdout: '' });
    const gateway = await launch.launch('gateway-docker', ['--dry-run']);
    expect(gateway).toMatchObject({ status: 2, stdout: '' });
    expect(gateway.stderr).toContain("leads to 'ssh://far'");
  });

  test('DRY-5: without --dry-run all of it is an error, and nothing is printed', async () => {
    const { root, tools } = imageCheckout();
    for (const task of ['docker-build-image', 'gateway', 'stage', 'sandbox', 'vm/build-supervisor-bundle']) {
      const env = { PATH: bareBin(), HOME: tools.directory, OPENSHELL_ROOT: root };
      const result = await runTaskFile(task, NEEDED[task]?.args ?? [], { cwd: root, env });
      expect(result, task).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr, task).toContain('is not on PATH');
    }
  });
});

describe('the tool chain', () => {
  test('DRY-6: a compiler that does not respond, and one without rustup and the target', async () => {
    const checkout = new FakeCheckout();
    checkout.tools.add('rustc', [{ args: [], script: 'echo "toolchain is not installed" >&2; exit 1' }]);
    const silent = await checkout.stage(['supervisor', '--dry-run']);
    expect(silent.stdout).toMatch(/^# .*toolchain is not installed/);
    expect(silent.stdout).toContain("rustup target add '<missing targets: rustc does not respond>'\n");
    expect(checkout.tools.calls().find(({ tool }) => tool === 'rustc')?.env.RUSTUP_AUTO_INSTALL).toBe('0');
    expect((await checkout.stage(['supervisor'])).status).toBe(2);
  });

  test('DRY-6: features that only cargo knows the components of', async () => {
    const launch = new FakeLaunch();
    launch.tools.add('cargo', []);
    const bin = bareBin();
    symlinkSync(join(launch.tools.bin, 'docker'), join(bin, 'docker'));
    const result = await launch.launch('gateway-docker', ['--dry-run'], { PATH: bin, EXTRA_CARGO_FEATURES: 'fast' });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toContain("--features 'openshell-server/<features: cargo not on PATH>");
  });

  test('DRY-7: the CLI of a checkout is not compiled; what was compiled last is probed', async () => {
    const checkout = new FakeCheckout();
    const scripts = join(checkout.root, 'scripts/bin');
    mkdirSync(scripts, { recursive: true });
    const marker = join(checkout.root, 'compiled');
    writeFileSync(join(scripts, 'openshell'), `#!/bin/bash\n: > ${marker}\n`, { mode: 0o755 });
    const run = () => {
      const env = checkout.env({ PATH: `${scripts}:${bareBin()}` });
      return runTaskFile('sandbox', ['--dry-run'], { cwd: checkout.root, env });
    };
    const unknown = await run();
    expect(unknown.status, unknown.stderr).toBe(0);
    expect(unknown.stdout).toMatch(/^# .*has yet to compile openshell/);
    expect(unknown.stdout).toContain('# <sandbox dev: gateway not reachable>: where it exists, nothing but: openshell');
    mkdirSync(join(checkout.root, 'target/debug'), { recursive: true });
    const script = '#!/bin/bash\n[[ $1 != status ]] || echo \'{"status":"connected"}\'\n';
    writeFileSync(join(checkout.root, 'target/debug/openshell'), script, { mode: 0o755 });
    expect((await run()).stdout).toBe('openshell sandbox connect dev\n');
    expect(filesIn(checkout.root)).not.toContain('compiled');
  });
});
