// SPDX-License-Identifier: Apache-2.0

/** Launches of the miniature with real cargo, docker and podman: to a gateway that responds on its port. */

import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { parse, stringify } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectStatic } from '../../lib/elf/verify.ts';
import { thisHost } from '../../lib/host.ts';
import { runtimeNames, vmPlatformOf } from '../../lib/vm/runtime-files.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { processesWith } from '../support/processes.ts';
import { requireTools } from '../support/real-tools.ts';
import { runTaskFile } from '../support/run-task.ts';
import { type RunningLaunch, startLaunch } from '../support/running-launch.ts';
import { runtimePart } from '../support/runtime-parts.ts';
import {
  type Dockerd,
  makePodmanHome,
  type PodmanHome,
  type Service,
  startDockerd,
  startPodmanService,
} from '../support/services.ts';

const BUILD_TIMEOUT_MS = 300_000;
const tools = requireTools(
  'cargo',
  'rustup',
  'zigbuild',
  'zig',
  'gnu-x86_64',
  'glibc-static',
  'dockerd',
  'docker',
  'buildx',
  'podman',
);
const DRIVERS = ['docker', 'podman', 'vm'] as const;
type Driver = (typeof DRIVERS)[number];

describe('real gateways', tools.options, () => {
  let directory = '';
  let root = '';
  let dockerd: Dockerd;
  let podman: PodmanHome;
  let service: Service;
  let port = 0;
  /** The daemon is known by its context alone. */
  const dockerEnv = () => ({ ...tools.env, ...dockerd.env, DOCKER_HOST: '', DOCKER_CONTEXT: 'odd' });
  const podmanSocket = () => join(directory, 'run/podman/podman.sock');
  const config = () => join(directory, 'config');
  const state = (driver: Driver) => join(root, '.cache', `gateway-${driver}`);

  beforeAll(async () => {
    directory = mkdtempSync(join(realpathSync(tmpdir()), 'osg-'));
    root = join(directory, 'checkout');
    makeMiniature({ at: root });
    addRuntime(join(root, 'target/vm-runtime-compressed'));
    dockerd = await startDockerd();
    execFileSync('docker', ['context', 'create', 'odd', '--docker', `host=${dockerd.host}`], {
      env: dockerEnv(),
      stdio: 'pipe',
    });
    podman = makePodmanHome();
    mkdirSync(dirname(podmanSocket()), { recursive: true });
    service = await startPodmanService(podman, podmanSocket());
    port = await freePort();
  }, BUILD_TIMEOUT_MS);

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  const env = (extra: Record<string, string> = {}) => ({
    ...dockerEnv(),
    ...podman.env,
    XDG_RUNTIME_DIR: join(directory, 'run'),
    OPENSHELL_ROOT: root,
    XDG_CONFIG_HOME: config(),
    OPENSHELL_SERVER_PORT: String(port),
    OPENSHELL_VM_DRIVER_STATE_ROOT: directory,
    USER: 'dev',
    ...extra,
  });

  function start(driver: Driver, extra: Record<string, string> = {}): RunningLaunch {
    return startLaunch(`gateway-${driver}`, [], { cwd: root, env: env(extra) });
  }

  /** The pids of all that the launches of this test have left running. */
  const leftovers = () => processesWith(`OPENSHELL_ROOT=${root}`);

  test.each(DRIVERS)(
    '%s: from nothing to a gateway that responds, Ctrl-C, and again warm',
    { timeout: BUILD_TIMEOUT_MS },
    async (driver) => {
      for (const round of ['cold', 'warm'] as const) {
        const launch = start(driver);
        await launch.said(`${driver}-dev is up at http://127.0.0.1:${port}`, BUILD_TIMEOUT_MS);
        // The gateway runs as the task itself.
        expect(readlinkSync(`/proc/${launch.pid}/exe`)).toMatch(/\/openshell-gateway$/);
        await canConnect(port);
        expect(launch.stderr()).toMatch(/^==> gateway/m);
        // The VM driver's own build script asks to run again each time: it names files of another system.
        if (round === 'warm') expect(launch.stderr()).not.toMatch(/^ +Compiling openshell-(?!driver-vm)/m);
        launch.kill('SIGINT');
        expect((await launch.ended).status).toBe(0);
      }
      expect(leftovers()).toEqual([]);
      expect(readdirSync(state(driver)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
      const active = join(config(), 'openshell/active_gateway');
      if (driver === 'docker') expect(existsSync(active)).toBe(false);
      else expect(readFileSync(active, 'utf8')).toBe(`${driver}-dev`);
    },
  );

  const socketOf = (driver: Driver) =>
    // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it wants
    (parse(readFileSync(join(state(driver), 'gateway.toml'), 'utf8')) as any).openshell.drivers[driver].socket_path;

  test("R1, R3: the gateway has the daemon of docker's context, and podman's service", () => {
    expect(socketOf('docker')).toBe(dockerd.host.slice('unix://'.length));
    expect(socketOf('podman')).toBe(podmanSocket());
  });

  test('R1: a daemon on another machine is refused before anything is built', async () => {
    for (const endpoint of ['ssh://nobody@127.0.0.1:1', 'tcp://127.0.0.1:1']) {
      const { ended } = start('docker', { DOCKER_HOST: endpoint });
      const result = await ended;
      expect(result.status).toBe(2);
      expect(result.stderr).toContain(`DOCKER_HOST leads to '${endpoint}', and only a socket of this machine`);
      expect(result.stderr).not.toContain('==>');
    }
  });

  test('R3: podman without its service is refused, and docker is preferred to it', {
    timeout: BUILD_TIMEOUT_MS,
  }, async () => {
    await service.stop();
    const refused = await start('podman').ended;
    expect(refused.status).toBe(2);
    expect(refused.stderr).toMatch(/^error: podman cannot carry a gateway .*systemctl (--user )?start podman\.socket/m);
    expect(refused.stderr).not.toContain('==>');
    const selected = startLaunch('gateway', [], { cwd: root, env: env() });
    await selected.said('docker-dev is up at', BUILD_TIMEOUT_MS);
    expect(selected.stderr()).toMatch(
      /^\[container-engine\] docker \(it responds; the API of podman: '\S+podman\.sock' does not exist\)$/m,
    );
    selected.kill('SIGINT');
    await selected.ended;
    service = await startPodmanService(podman, podmanSocket());
    const again = startLaunch('gateway', [], { cwd: root, env: env() });
    await again.said('podman-dev is up at', BUILD_TIMEOUT_MS);
    again.kill('SIGINT');
    await again.ended;
  });

  test(
    'the supervisor that sandboxes get is static, and the one of a later build by hand is not taken',
    async () => {
      const path = join(state('docker'), 'supervisor/amd64/openshell-sandbox');
      expect(inspectStatic(path, { machine: 'amd64' }).ok).toBe(true);
      execFileSync('cargo', ['build', '-q', '-p', 'openshell-sandbox'], { cwd: root, env: tools.env });
      const launch = start('docker');
      await launch.said(' is up at ', BUILD_TIMEOUT_MS);
      launch.kill('SIGTERM');
      await launch.ended;
      expect(inspectStatic(path, { machine: 'amd64' }).ok).toBe(true);
    },
    BUILD_TIMEOUT_MS,
  );

  test('the image of podman holds exactly the supervisor of the launch, and the directory of releases nothing', () => {
    const all = { ...tools.env, ...podman.env };
    const id = execFileSync('podman', ['create', 'openshell/supervisor:dev', 'x'], {
      env: all,
      encoding: 'utf8',
    }).trim();
    execFileSync('podman', ['cp', `${id}:/openshell-sandbox`, join(directory, 'from-image')], { env: all });
    expect(inspectStatic(join(directory, 'from-image'), { machine: 'amd64' }).ok).toBe(true);
    expect(existsSync(join(root, 'deploy/docker/.build/prebuilt-binaries'))).toBe(false);
  });

  test('SIGKILL at every step of the plan, then a normal run', { timeout: 2 * BUILD_TIMEOUT_MS }, async () => {
    const active = join(config(), 'openshell/active_gateway');
    for (const driver of DRIVERS) {
      const plan = await runTaskFile(`gateway-${driver}`, ['--dry-run'], { cwd: root, env: env() });
      const steps = [...plan.stdout.matchAll(/^# step (\S+)$/gm)].map(([, name]) => name);
      expect(steps).toEqual(expect.arrayContaining(['build', 'credentials', 'config', 'exec']));
      const headings = await headingsOf(driver);
      for (const heading of [...headings, `starting the `]) {
        mkdirSync(join(config(), 'openshell'), { recursive: true });
        writeFileSync(active, 'prod');
        // Something is new at every step, so that every step has something to do.
        writeFileSync(join(root, 'crates/openshell-sandbox/src/salt.txt'), heading);
        rmSync(join(state(driver), 'tls'), { recursive: true, force: true });
        const killed = start(driver);
        await killed.said(heading, BUILD_TIMEOUT_MS);
        killed.kill('SIGKILL');
        expect((await killed.ended).signal).toBe('SIGKILL');
        // What outlives a killed task: cargo ends by itself, and the watcher when the pid is gone.
        expect(readFileSync(active, 'utf8'), `${driver} ${heading}`).toBe('prod');
        const normal = start(driver);
        await normal.said(' is up at ', BUILD_TIMEOUT_MS);
        expect(readFileSync(active, 'utf8')).toBe(driver === 'docker' ? 'prod' : `${driver}-dev`);
        normal.kill('SIGINT');
        expect((await normal.ended).status, normal.stderr()).toBe(0);
      }
    }
    expect(leftovers()).toEqual([]);
  });

  /** The heading of each step, as a run shows them. */
  async function headingsOf(driver: Driver): Promise<string[]> {
    const launch = start(driver);
    await launch.said(' is up at ', BUILD_TIMEOUT_MS);
    launch.kill('SIGINT');
    await launch.ended;
    return [...launch.stderr().matchAll(/^==> .*$/gm)].map(([heading]) => heading);
  }

  test('two starts at once: one runs, the other says who', { timeout: BUILD_TIMEOUT_MS }, async () => {
    // More than once: which of them is first, and in which step, is left to chance.
    for (let round = 0; round < 8; round += 1) {
      const launches = [start('docker'), start('docker')];
      const ends = launches.map((launch) => launch.ended);
      const lost = await Promise.race(ends);
      expect(lost.status, lost.stderr).toBe(2);
      expect(lost.stderr).toMatch(/ is in use by pid \d+ \(gateway docker-dev with docker, since /);
      const other = launches.find((launch) => launch.stderr() !== lost.stderr) as RunningLaunch;
      await other.said(' is up at ', BUILD_TIMEOUT_MS);
      other.kill('SIGINT');
      expect((await other.ended).status).toBe(0);
    }
  });

  test('the gateway refuses a key that it does not know', () => {
    const path = join(state('docker'), 'gateway.toml');
    // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it wants
    const value = parse(readFileSync(path, 'utf8')) as any;
    value.openshell.drivers.docker.unheard_of = 1;
    writeFileSync(join(directory, 'wrong.toml'), stringify(value));
    const gateway = join(root, 'target/openshell-tasks/launch/debug/openshell-gateway');
    const args = ['--config', join(directory, 'wrong.toml'), '--drivers', 'docker', '--disable-tls'];
    const result = spawnSync(gateway, [...args, '--db-url', 'sqlite::memory:'], { encoding: 'utf8', env: tools.env });
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain('unheard_of');
  });
});

function addRuntime(at: string): void {
  mkdirSync(at, { recursive: true });
  const platform = vmPlatformOf(thisHost());
  for (const name of runtimeNames(platform)) {
    writeFileSync(join(at, `${name}.zst`), zstdCompressSync(runtimePart(platform, name, name)));
  }
}

function canConnect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
