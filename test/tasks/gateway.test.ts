// SPDX-License-Identifier: Apache-2.0

/** The launchers from outside: fake tools, and a small real program in the place of the gateway. */

import { type ChildProcess, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { FakeLaunch } from '../support/fake-launch.ts';
import { requireTools } from '../support/real-tools.ts';
import type { TaskResult } from '../support/run-task.ts';
import { type RunningLaunch, startLaunch } from '../support/running-launch.ts';

const tools = requireTools('cc');
const LAUNCHERS = ['docker', 'podman', 'vm', 'kubernetes'] as const;
type Launcher = (typeof LAUNCHERS)[number];

const taskOf = (driver: Launcher) => (driver === 'kubernetes' ? 'gateway' : `gateway-${driver}`);
const wordsOf = (driver: Launcher) => (driver === 'kubernetes' ? ['--driver', 'k8s'] : []);

function newLaunch(driver: Launcher, name?: string): FakeLaunch {
  const launch = new FakeLaunch(driver === 'docker' || driver === 'podman' ? { [driver]: {} } : {}, name);
  if (driver === 'vm') addRuntime(launch);
  return launch;
}

/** A complete VM runtime: every file is one zstd frame. */
function addRuntime(launch: FakeLaunch, without: readonly string[] = []): string {
  const directory = join(launch.root, 'target/vm-runtime-compressed');
  mkdirSync(directory, { recursive: true });
  const { zstdCompressSync } = process.getBuiltinModule('node:zlib');
  for (const name of ['libkrun.so.zst', 'libkrunfw.so.5.zst', 'gvproxy.zst', 'umoci.zst']) {
    if (!without.includes(name)) writeFileSync(join(directory, name), zstdCompressSync(Buffer.from(name)));
  }
  return directory;
}

function run(launch: FakeLaunch, driver: Launcher, words: readonly string[] = [], extra: Record<string, string> = {}) {
  return launch.launch(taskOf(driver), [...wordsOf(driver), ...words], {
    OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's'),
    ...extra,
  });
}

/** Refused before anything was built or written; every line is an error. */
function expectRefused(result: TaskResult, launch: FakeLaunch, ...lines: RegExp[]): void {
  expect(result.stderr).toMatch(/^error: /m);
  expect(result).toMatchObject({ status: 2, stdout: '' });
  for (const line of lines) expect(result.stderr).toMatch(line);
  expect(launch.builds()).toEqual([]);
  expect(launch.gatewayCalls()).toEqual([]);
  expect(existsSync(join(launch.config, 'openshell'))).toBe(false);
}

describe('launching with fake tools', tools.options, () => {
  describe.each(LAUNCHERS)('%s', (driver) => {
    test('the gateway runs as the task itself, with everything that it is told', async () => {
      const launch = newLaunch(driver);
      let child: ChildProcess | undefined;
      const result = await launch.launch(
        taskOf(driver),
        wordsOf(driver),
        { FAKE_GATEWAY: 'exit 7', OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') },
        { onStart: (started) => (child = started) },
      );
      expect(result.status).toBe(7);
      const state = launch.state(driver);
      const served = launch.served();
      expect(served?.pid).toBe(child?.pid);
      expect(served?.words).toEqual([
        '--config',
        join(state, 'gateway.toml'),
        '--bind-address',
        '127.0.0.1',
        '--port',
        String(launch.port),
        '--log-level',
        'info',
        '--drivers',
        driver,
        '--disable-tls',
        '--db-url',
        `sqlite:${state}/gateway.db?mode=rwc`,
      ]);
      expect(launch.gatewayCalls()[0]?.words).toEqual([
        ...['generate-certs', '--output-dir', join(state, 'tls')],
        ...['--server-san', '127.0.0.1', '--server-san', 'localhost', '--server-san', 'host.openshell.internal'],
      ]);
      expect(launch.toml(driver).openshell.gateway.compute_drivers).toEqual([driver]);
      expect(launch.entry(`${driver}-dev`)).toMatchObject({
        name: `${driver}-dev`,
        gateway_endpoint: `http://127.0.0.1:${launch.port}`,
        is_remote: false,
        gateway_port: launch.port,
        auth_mode: 'plaintext',
      });
      const mode = (path: string) => statSync(path).mode & 0o777;
      expect(mode(join(state, 'gateway.toml'))).toBe(0o600);
      expect(mode(state)).toBe(0o700);
      expect(mode(join(launch.config, `openshell/gateways/${driver}-dev`))).toBe(0o700);
      launch.tools.verify();
    });

    test('C29, H19, H24, C27, L6, L7: all that is wrong is listed at once, before anything is built', async () => {
      const launch = newLaunch(driver);
      const result = await run(launch, driver, [], {
        OPENSHELL_GATEWAY_NAME: '..',
        OPENSHELL_SERVER_PORT: 'abc',
        OPENSHELL_BIND_ADDRESS: 'localhost',
        OPENSHELL_DISABLE_TLS: 'false',
        OPENSHELL_GRPC_ENDPOINT: 'nowhere',
        ...(driver === 'vm' ? { OPENSHELL_VM_GPU: 'perhaps' } : { OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: 'bogus' }),
      });
      expectRefused(
        result,
        launch,
        /^error: OPENSHELL_GATEWAY_NAME is '\.\.'/m,
        /^error: OPENSHELL_SERVER_PORT is 'abc'; allowed is a whole number from 1 to 65535/m,
        /^error: OPENSHELL_BIND_ADDRESS is 'localhost'/m,
        /^error: OPENSHELL_DISABLE_TLS is 'false'/m,
        /^error: OPENSHELL_GRPC_ENDPOINT is 'nowhere'/m,
        driver === 'vm'
          ? /^error: OPENSHELL_VM_GPU is 'perhaps'/m
          : /^error: OPENSHELL_SANDBOX_IMAGE_PULL_POLICY is 'bogus'/m,
      );
      const others = result.stderr.split('\n').filter((line) => !line.startsWith('error: '));
      expect(others).toEqual(driver === 'kubernetes' ? ['driver kubernetes (--driver)', ''] : ['']);
    });

    test('H22: a gateway that fails leaves the active one as it is', async () => {
      const launch = newLaunch(driver);
      mkdirSync(join(launch.config, 'openshell'), { recursive: true });
      writeFileSync(join(launch.config, 'openshell/active_gateway'), 'prod');
      expect((await run(launch, driver, ['--activate'], { FAKE_GATEWAY: 'exit 7' })).status).toBe(7);
      await sleep(400);
      expect(launch.active()).toBe('prod');
    });

    test('a gateway that answers becomes active; docker asks to be told', async () => {
      const launch = newLaunch(driver);
      const running = await startListening(launch, driver);
      await running.said(' is up at ');
      const isActive = launch.active() === `${driver}-dev`;
      running.kill('SIGINT');
      expect((await running.ended).status).toBe(0);
      expect(isActive).toBe(driver !== 'docker');
      expect(running.stderr()).toMatch(
        new RegExp(`^${driver}-dev is up at http://127.0.0.1:${launch.port} after \\d`, 'm'),
      );
    });

    test('H21: a second one in the same place says who is there, and leaves everything alone', async () => {
      const launch = newLaunch(driver);
      const running = await startListening(launch, driver);
      await running.said(' is up at ');
      const before = readFileSync(join(launch.state(driver), 'gateway.toml'), 'utf8');
      const builds = launch.builds().length;
      const second = await run(launch, driver, [], { OPENSHELL_SANDBOX_IMAGE: 'other' });
      running.kill('SIGINT');
      await running.ended;
      expect(second.status).toBe(2);
      expect(second.stderr).toMatch(
        new RegExp(`^error: \\S+ is in use by pid ${running.pid} \\(gateway ${driver}-dev with ${driver}, since `, 'm'),
      );
      expect(second.stderr).toMatch(
        new RegExp(
          `^error: 127.0.0.1:${launch.port} is in use by fake-gateway\\S* \\(pid ${running.pid}\\)|is in use by openshell-gateway \\(pid ${running.pid}\\)`,
          'm',
        ),
      );
      expect(readFileSync(join(launch.state(driver), 'gateway.toml'), 'utf8')).toBe(before);
      expect(launch.builds()).toHaveLength(builds);
    });

    test('settings that a gateway would stumble over do not reach it', async () => {
      const launch = newLaunch(driver);
      await run(launch, driver, [], {
        OPENSHELL_DISABLE_TLS: 'yes',
        OPENSHELL_TLS_CLIENT_CA: '/nowhere',
        OPENSHELL_DB_URL: 'postgres://x',
        OPENSHELL_HEALTH_PORT: '1234',
      });
      for (const { env } of launch.gatewayCalls()) {
        expect(Object.keys(env)).not.toContain('OPENSHELL_DISABLE_TLS');
        expect(Object.keys(env)).not.toContain('OPENSHELL_TLS_CLIENT_CA');
        expect(Object.keys(env)).not.toContain('OPENSHELL_DB_URL');
        expect(Object.keys(env)).not.toContain('OPENSHELL_SERVER_PORT');
        expect(env.OPENSHELL_HEALTH_PORT).toBe('1234');
      }
    });

    test('the gateway has the open-file limit of the shell that started the task, not the one of Node', async () => {
      const launch = newLaunch(driver);
      await run(launch, driver, [], { OPENSHELL_SHELL_NOFILE_LIMIT: '777' });
      expect(launch.served()?.softLimit).toBe(777);
    });

    test('H28, L11: from another directory; state directory and name by the variables of all launchers, relative to the start', async () => {
      const launch = newLaunch(driver);
      const cwd = join(launch.root, 'crates');
      const result = await launch.launch(
        taskOf(driver),
        wordsOf(driver),
        {
          OPENSHELL_GATEWAY_STATE_DIR: 'my state',
          OPENSHELL_GATEWAY_NAME: 'mine',
          OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's'),
        },
        { cwd },
      );
      expect(result.status).toBe(0);
      expect(launch.served()?.words[1]).toBe(join(cwd, 'my state/gateway.toml'));
      expect(launch.entry('mine')).toMatchObject({ name: 'mine' });
    });

    test('C28: a state directory that is a link is refused, and its target left alone', async () => {
      const launch = newLaunch(driver);
      const victim = join(launch.tools.directory, 'victim');
      mkdirSync(victim, { mode: 0o755 });
      chmodSync(victim, 0o755);
      mkdirSync(dirname(launch.state(driver)), { recursive: true });
      symlinkSync(victim, launch.state(driver));
      expectRefused(await run(launch, driver), launch, /which is a link/);
      expect(statSync(victim).mode & 0o777).toBe(0o755);
      expect(readdirSync(victim)).toEqual([]);
    });

    test('L4: unknown words and flags are errors, help is help, a dry run starts nothing', async () => {
      const launch = newLaunch(driver);
      expectRefused(await run(launch, driver, ['--bogus']), launch, /unknown option '--bogus'/);
      expectRefused(await run(launch, driver, ['--activate', '--no-activate']), launch, /contradict each other/);
      const help = await run(launch, driver, ['--help']);
      expect(help).toMatchObject({ status: 0, stderr: '' });
      expect(help.stdout).toContain('--no-activate');
      const dry = await run(launch, driver, ['--dry-run']);
      expect(dry.status).toBe(0);
      expect(dry.stdout).toMatch(
        /^# step build$[\s\S]*^# step credentials$[\s\S]*^# step config$[\s\S]*^# step exec$/m,
      );
      expect(launch.builds()).toEqual([]);
      expect(existsSync(launch.state(driver))).toBe(false);
    });

    test('C25: hostile values are values', async () => {
      const launch = newLaunch(driver);
      const hostile = 'x"\nallow_privileged = "yes\u001b\\';
      expect((await run(launch, driver, [], { OPENSHELL_SANDBOX_IMAGE: hostile })).status).toBe(0);
      const { gateway, drivers } = launch.toml(driver).openshell;
      expect(gateway.default_image ?? drivers[driver].default_image).toBe(hostile);
      expect(JSON.stringify(launch.toml(driver))).not.toContain('"allow_privileged"');
    });

    test('a checkout with blanks and quotes in its path', async () => {
      const launch = newLaunch(driver, `a 'b" $c;#%`);
      expect((await run(launch, driver)).status).toBe(0);
      expect(launch.served()?.words[1]).toBe(join(launch.state(driver), 'gateway.toml'));
      launch.tools.verify();
    });

    test("a failed build gives cargo's own status; failed certificates theirs; nothing is registered", async () => {
      const launch = newLaunch(driver);
      const certificates = await run(launch, driver, [], { FAKE_CERTS: 'no entropy' });
      expect(certificates.status).toBe(3);
      expect(certificates.stderr).toMatch(/^error: .*generate-certs .* failed with status 3 .*no entropy$/m);
      launch.setCargo({ before: 'exit 101' });
      expect((await run(launch, driver)).status).toBe(101);
      expect(existsSync(join(launch.config, 'openshell'))).toBe(false);
    });
  });

  test('H23: the registered endpoint follows the address that is listened on', async () => {
    for (const [bind, host] of [
      ['0.0.0.0', '127.0.0.1'],
      ['::1', '[::1]'],
    ]) {
      const launch = newLaunch('podman');
      await run(launch, 'podman', [], { OPENSHELL_BIND_ADDRESS: bind ?? '' });
      expect(launch.entry('podman-dev')).toMatchObject({ gateway_endpoint: `http://${host}:${launch.port}` });
    }
  });

  test('H20: a port that is taken is found before anything is built', async () => {
    const launch = newLaunch('docker');
    const server = createServer();
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen({ host: '::', port: 0 }, resolve));
    launch.port = (server.address() as { port: number }).port;
    expectRefused(await run(launch, 'docker'), launch, new RegExp(`in use by \\S+ \\(pid ${process.pid}\\)`));
  });

  test('H17, C8: an engine that does not answer is reported in its own words', async () => {
    const launch = new FakeLaunch({ docker: { info: undefined, refusal: 'permission denied on the socket' } });
    expectRefused(await run(launch, 'docker'), launch, /permission denied on the socket/);
  });

  test('no cargo, no engine, a taken port: one line for each', async () => {
    const launch = new FakeLaunch({ docker: { info: undefined, refusal: 'no daemon' } });
    const server = createServer();
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
    launch.port = (server.address() as { port: number }).port;
    rmSync(join(launch.tools.bin, 'cargo'));
    const result = await run(launch, 'docker');
    expectRefused(result, launch, /^error: cargo is not on PATH/m, /^error: .*no daemon/m, /^error: .* is in use by/m);
    expect(result.stderr.trim().split('\n')).toHaveLength(3);
  });

  describe('the supervisor', () => {
    test('C18: native Linux builds it static with the gateway, in one cargo run', async () => {
      const launch = newLaunch('docker');
      expect((await run(launch, 'docker')).status).toBe(0);
      expect(launch.builds()).toHaveLength(1);
      const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
      expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'x86_64')));
      expect(statSync(supervisor_bin).mode & 0o777).toBe(0o755);
    });

    test.each(['docker', 'podman'] as const)('C18: a dynamic one is refused: %s', async (driver) => {
      const launch = newLaunch(driver);
      launch.setApp('x86_64', 'dynamic');
      const result = await run(launch, driver);
      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(/^error: the supervisor that was built cannot be used: .*libc/m);
      expect(launch.served()).toBeUndefined();
    });

    test('C6: what this run has built is what runs, wherever cargo puts it', async () => {
      const launch = newLaunch('docker');
      expect((await run(launch, 'docker')).status).toBe(0);
      launch.setApp('x86_64', { payload: 64 });
      const elsewhere = join(launch.tools.directory, 'elsewhere');
      expect((await run(launch, 'docker', [], { CARGO_TARGET_DIR: elsewhere })).status).toBe(0);
      const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
      expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'x86_64')));
      const pids = launch.gatewayCalls().map(({ pid }) => pid);
      expect(new Set(pids).size).toBe(pids.length);
      expect(existsSync(join(elsewhere, 'openshell-tasks/launch/debug/openshell-gateway'))).toBe(true);
    });

    test('H5: a launch for another machine that is stopped in its build leaves nothing beside the supervisor', async () => {
      const launch = new FakeLaunch({ docker: { info: { Architecture: 'aarch64', ServerVersion: '1' } } });
      const mark = join(launch.tools.directory, 'building');
      launch.setCargo({ before: `: > ${mark}; /bin/sleep 30` });
      const onStart = (child: ChildProcess) => void until(() => existsSync(mark)).then(() => child.kill('SIGINT'));
      expect((await launch.launch('gateway-docker', [], {}, { onStart })).status).toBe(130);
      expect(readdirSync(launch.state('docker')).filter((name) => name !== '.launch.lock.db')).toEqual([]);
    });

    test('H6: for another machine it comes from staging, and no image is built', async () => {
      const launch = new FakeLaunch({ docker: { info: { Architecture: 'aarch64', ServerVersion: '1' } } });
      const result = await run(launch, 'docker');
      expect(result.status).toBe(0);
      expect(launch.builds()).toEqual([
        expect.stringContaining('zigbuild --release --target aarch64-unknown-linux-musl'),
        expect.stringMatching(/^cargo build -p openshell-server/),
      ]);
      expect(launch.tools.lines().filter((line) => line.startsWith('docker'))).toEqual([
        'docker info --format {{json .}}',
      ]);
      const { supervisor_bin } = launch.toml('docker').openshell.drivers.docker;
      expect(supervisor_bin).toBe(join(launch.state('docker'), 'supervisor/arm64/openshell-sandbox'));
      expect(readFileSync(supervisor_bin)).toEqual(readFileSync(join(launch.apps, 'aarch64')));
    });

    test('C5: what the environment says of images and releases stays out of a launch', async () => {
      const launch = newLaunch('podman');
      const publish = {
        DOCKER_PUSH: '1',
        IMAGE_REGISTRY: 'ghcr.io/prod',
        IMAGE_TAG: 'v1',
        DOCKER_PLATFORM: 'linux/arm64',
        DOCKER_OUTPUT: 'type=local,dest=o',
        CI: '1',
        PREBUILT_ARCH: 'arm64',
        CONTAINER_ENGINE: 'docker',
      };
      expect((await run(launch, 'podman', [], publish)).status).toBe(0);
      const lines = launch.tools.lines().filter((line) => line.startsWith('podman'));
      expect(lines.filter((line) => line.includes('push'))).toEqual([]);
      expect(lines.filter((line) => line.includes('build'))).toEqual([
        expect.stringMatching(/--platform linux\/amd64 .*-t openshell\/supervisor:dev /),
      ]);
      expect(launch.toml('podman').openshell.drivers.podman.supervisor_image).toBe('openshell/supervisor:dev');
      expect(existsSync(join(launch.root, 'deploy/docker/.build'))).toBe(false);
      const cargo = launch.tools.calls().find(({ tool }) => tool === 'cargo');
      expect(Object.keys(cargo?.env ?? {})).not.toContain('IMAGE_TAG');
    });

    test('podman builds its image again only where something in it is new', async () => {
      const launch = newLaunch('podman');
      const builds = () => launch.tools.lines().filter((line) => line.startsWith('podman build')).length;
      for (const [change, expected] of [
        [() => undefined, 1],
        [() => undefined, 1],
        [() => launch.setApp('x86_64', { payload: 64 }), 2],
        [() => writeFileSync(join(launch.root, 'deploy/docker/Dockerfile.supervisor'), 'FROM scratch\n'), 3],
      ] as const) {
        change();
        expect((await run(launch, 'podman')).status).toBe(0);
        expect(builds()).toBe(expected);
      }
    });

    test('a given image is used as it is, and has to be there', async () => {
      const launch = newLaunch('podman');
      expect((await run(launch, 'podman', [], { OPENSHELL_SUPERVISOR_IMAGE: 'given:1' })).status).toBe(0);
      expect(launch.toml('podman').openshell.drivers.podman.supervisor_image).toBe('given:1');
      expect(launch.tools.lines().filter((line) => line.startsWith('podman build'))).toEqual([]);
      const other = newLaunch('podman');
      expectRefused(
        await run(other, 'podman', [], { OPENSHELL_SUPERVISOR_IMAGE: 'absent:1' }),
        other,
        /OPENSHELL_SUPERVISOR_IMAGE is 'absent:1', which podman does not have \(no such image\)/,
      );
    });

    test.each([
      ['release is asked for', { OPENSHELL_SUPERVISOR_PROFILE: 'release' }, 'echo /usr/lib/libc.a', /release profile/],
      ['there is no libc.a', {}, 'echo libc.a', /^warning: .*libc6-dev.*glibc-static/m],
    ])('%s: the staged one', async (_, extra, answer, said) => {
      const launch = newLaunch('docker');
      launch.tools.add('cc', [{ words: ['-print-file-name=libc.a'], script: answer }]);
      const result = await run(launch, 'docker', [], extra);
      expect(result.status).toBe(0);
      expect(result.stderr).toMatch(said);
      expect(launch.builds()[0]).toContain('--release --target x86_64-unknown-linux-musl');
    });

    test('a profile that does not exist', async () => {
      const launch = newLaunch('docker');
      const result = await run(launch, 'docker', [], { OPENSHELL_SUPERVISOR_PROFILE: 'debug' });
      expectRefused(result, launch, /OPENSHELL_SUPERVISOR_PROFILE is 'debug'; allowed are dev, release/);
    });

    test('H31: a feature goes to the component that declares it, in whichever run it is built', async () => {
      const launch = newLaunch('docker');
      const staged = { OPENSHELL_SUPERVISOR_PROFILE: 'release' };
      const both = { ...staged, EXTRA_CARGO_FEATURES: 'bundled-z3,bundled-ca-roots' };
      expect((await run(launch, 'docker', [], both)).status).toBe(0);
      const [supervisor, gateway] = launch.builds();
      expect(supervisor).toMatch(/--features bundled-ca-roots/);
      expect(supervisor).not.toContain('bundled-z3');
      expect(gateway).toMatch(/--features openshell-server\/bundled-z3/);
      expect(gateway).not.toContain('bundled-ca-roots');
    });
  });

  describe('vm', () => {
    test('C23: a runtime with a part missing is set up first, and is checked again', async () => {
      const launch = new FakeLaunch({});
      const directory = addRuntime(launch, ['libkrun.so.zst']);
      launch.tools.add('mise', [{ words: ['run', 'vm:setup'], script: ':' }]);
      const result = await run(launch, 'vm');
      expect(result.status).toBe(1);
      expect(result.stderr).toContain(`the VM runtime in ${directory} still lacks libkrun.so.zst`);
      expect(launch.builds()).toEqual([]);
      launch.tools.add('mise', [
        {
          words: ['run', 'vm:setup'],
          script: '/bin/cp "$OPENSHELL_VM_RUNTIME_COMPRESSED_DIR"/{gvproxy,libkrun.so}.zst',
        },
      ]);
      expect((await run(launch, 'vm')).status).toBe(0);
    });

    test('a wrong value for the bundle is one of the problems, each with its line', async () => {
      const launch = newLaunch('vm');
      const env = { SUPERVISOR_LIBC: 'bogus', OPENSHELL_SERVER_PORT: '0x50' };
      expectRefused(
        await run(launch, 'vm', [], env),
        launch,
        /^error: SUPERVISOR_LIBC is 'bogus'/m,
        /SERVER_PORT is '0x50'/,
      );
    });

    test('a runtime that cannot be set up does not hide a directory that cannot be written', async () => {
      const launch = new FakeLaunch({});
      const file = join(launch.root, 'file');
      writeFileSync(file, '');
      const result = await run(launch, 'vm', [], { OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: join(file, 'x') });
      expectRefused(result, launch, /lacks .*, and mise, which sets it up, is not on PATH/, /cannot be written to/);
    });

    test('C22: the bundle is brought up to date at every start', async () => {
      const launch = newLaunch('vm');
      expect((await run(launch, 'vm')).status).toBe(0);
      const path = join(launch.root, 'target/vm-runtime-compressed/openshell-sandbox.zst');
      const { zstdDecompressSync } = process.getBuiltinModule('node:zlib');
      expect(zstdDecompressSync(readFileSync(path))).toEqual(readFileSync(join(launch.apps, 'x86_64')));
      launch.setApp('x86_64', { payload: 64 });
      expect((await run(launch, 'vm')).status).toBe(0);
      expect(zstdDecompressSync(readFileSync(path))).toEqual(readFileSync(join(launch.apps, 'x86_64')));
    });

    test('its options reach the driver as the words that it reads, from here and from gateway', async () => {
      for (const [task, words] of [
        ['gateway-vm', ['--gpu', '--gpu-mem-mib', '4096', '--gpu-vcpus=2']],
        ['gateway', ['--driver', 'vm', '--', '--gpu', '--gpu-mem-mib', '4096', '--gpu-vcpus=2']],
      ] as const) {
        const launch = newLaunch('vm');
        const extra = { OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's'), OPENSHELL_VM_GPU: 'YES' };
        expect((await launch.launch(task, words, extra)).status).toBe(0);
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
  });

  describe('gateway', () => {
    test('podman first, then docker; the engine is asked once', async () => {
      const launch = new FakeLaunch({ docker: {}, podman: { info: undefined, refusal: 'not running' } });
      expect((await launch.launch('gateway')).status).toBe(0);
      expect(launch.served()?.words).toContain('docker');
      expect(launch.tools.lines().filter((line) => line.startsWith('docker info'))).toHaveLength(1);
      expect(launch.entry('docker-dev')).toBeTruthy();
    });

    test('nothing answers: both reasons in one line', async () => {
      const launch = new FakeLaunch({
        docker: { info: undefined, refusal: 'no daemon' },
        podman: { info: undefined, refusal: 'no machine' },
      });
      expectRefused(await launch.launch('gateway'), launch, /^error: [^\n]*no machine[^\n]*no daemon[^\n]*\n$/);
    });

    test.each([
      [['--driver'], {}, /--driver needs a value/],
      [['--driver='], {}, /--driver needs a value/],
      [['--driver', 'lxc'], {}, /--driver is 'lxc'; allowed is one of docker/],
      [['--driver', 'vm'], { OPENSHELL_DRIVERS: 'vm' }, /give one of them/],
      [[], { OPENSHELL_DRIVERS: 'docker,vm' }, /a gateway has one driver/],
      [['--gpu'], {}, /unknown option '--gpu'/],
      [['--driver', 'docker', '--', '--gpu'], {}, /unknown option '--gpu'; .* see tasks\/gateway-docker.ts --help/],
    ] as const)('%j %j', async (words, extra, said) => {
      const launch = newLaunch('docker');
      expectRefused(await launch.launch('gateway', words, extra), launch, said);
    });
  });

  test('H4: a signal during the build ends cargo and the task, and the next launch works', async () => {
    const launch = newLaunch('docker');
    launch.setCargo({ before: `echo $$ > ${join(launch.tools.directory, 'pid')}; /bin/sleep 30` });
    const result = await launch.launch(
      'gateway-docker',
      [],
      {},
      {
        onStart: (child) =>
          void until(() => existsSync(join(launch.tools.directory, 'pid'))).then(() => child.kill('SIGTERM')),
      },
    );
    expect(result.status).toBe(143);
    const pid = Number(readFileSync(join(launch.tools.directory, 'pid'), 'utf8'));
    expect(spawnSync('ps', ['-p', String(pid)]).status).toBe(1);
    launch.setCargo({});
    expect((await launch.launch('gateway-docker')).status).toBe(0);
  });

  test('L12: under sudo nothing in the directories of the user becomes root’s', {
    skip: process.geteuid?.() !== 0,
  }, async () => {
    const launch = newLaunch('docker');
    const user = { uid: 1234, gid: 1234 };
    const home = join(launch.tools.directory, 'user');
    mkdirSync(home);
    for (const path of [dirname(launch.root), launch.tools.directory, join(launch.tools.directory, 'calls')])
      chmodSync(path, 0o777);
    spawnSync('chown', ['-R', '1234:1234', dirname(launch.root)]);
    const result = await launch.launch('gateway-docker', [], {
      SUDO_USER: 'user',
      SUDO_UID: String(user.uid),
      SUDO_GID: String(user.gid),
      XDG_CONFIG_HOME: '',
      HOME: '/root',
      FAKE_GATEWAY_LOG: '',
    });
    expect(result.stderr).toContain('starting the Docker gateway');
    const owned = spawnSync('find', [launch.root, '-user', 'root'], { encoding: 'utf8' }).stdout;
    expect(owned).toBe('');
  });
});

async function startListening(launch: FakeLaunch, driver: Launcher): Promise<RunningLaunch> {
  const extra = { FAKE_GATEWAY: 'listen', OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') };
  const env = await launch.launchEnv(extra);
  return startLaunch(taskOf(driver), wordsOf(driver), { cwd: launch.root, env });
}

async function until(condition: () => boolean): Promise<void> {
  for (const start = Date.now(); !condition(); await sleep(20)) {
    if (Date.now() - start > 15_000) throw new Error('it did not happen within 15 s');
  }
}
