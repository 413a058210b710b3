// SPDX-License-Identifier: Apache-2.0

/** The doctor over fake tools: everything is well, then one thing after the other is broken. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { doctor } from '../../lib/doctor/execute.ts';
import { metadataPath } from '../../lib/gateway/registration.ts';
import type { Machine } from '../../lib/host.ts';
import { BROKEN, IMAGES, wellLaunch } from '../support/broken-machines.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { freePort } from '../support/free-port.ts';
import { inProcess, MACHINE } from '../support/in-process.ts';
import { listen } from '../support/listener.ts';
import { requireTools } from '../support/real-tools.ts';
import type { TaskOptions } from '../support/run-task.ts';
import { startLaunch } from '../support/running-launch.ts';

const tools = requireTools('cc');

interface Report {
  readonly ok: boolean;
  readonly rows: readonly {
    readonly group: string;
    readonly name: string;
    readonly status: string;
    readonly text: string;
  }[];
  readonly tasks: readonly { readonly task: string; readonly problems: readonly string[]; readonly canRun: boolean }[];
}

async function look(
  launch: FakeLaunch,
  args: readonly string[] = [],
  extra: Readonly<Record<string, string>> = {},
  options: Partial<TaskOptions> = {},
): Promise<{ readonly status: number | null; readonly report: Report }> {
  const root = join(launch.tools.directory, 's');
  const env = { OPENSHELL_VM_DRIVER_STATE_ROOT: root, ...extra };
  const result = await launch.launch('doctor', [...args, '--json'], env, options);
  expect(result.stderr.replace(/^.*\.env sets .*\n/, '')).toBe('');
  return { status: result.status, report: JSON.parse(result.stdout) as Report };
}

/** The rows that are not well, without those that are so on every fake machine. */
function badRows({ rows }: Report): Record<string, string> {
  return Object.fromEntries(rows.filter(({ status }) => status === 'bad').map(({ name, text }) => [name, text]));
}

function cannotRun({ tasks }: Report): string[] {
  return tasks.filter(({ canRun }) => !canRun).map(({ task }) => task);
}

describe('a machine', tools.options, () => {
  test('that has everything: no row is bad, every program was started once, and nothing was built or written', async () => {
    const launch = wellLaunch();
    const { report, status } = await look(launch);
    expect(badRows(report)).toEqual({});
    expect(cannotRun(report)).toEqual(['gateway:podman']);
    expect({ status, ok: report.ok }).toEqual({ status: 0, ok: true });
    const lines = launch.tools.lines();
    expect(lines).toEqual([...new Set(lines)]);
    expect(lines.some((line) => line.startsWith('cargo '))).toBe(false);
    expect(launch.gatewayCalls()).toEqual([]);
  });

  test('only the named tasks decide and have a verdict', async () => {
    const launch = wellLaunch();
    expect((await look(launch, ['gateway:podman'])).status).toBe(2);
    const { report, status } = await look(launch, ['gateway:vm', 'build:docker:gateway']);
    expect(report.tasks.map(({ task }) => task)).toEqual(['gateway:vm', 'build:docker:gateway']);
    expect(status).toBe(0);
  });

  test('another name is a usage error with the list', async () => {
    const result = await wellLaunch().launch('doctor', ['gateway:qemu']);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toContain('gateway:docker, gateway:podman, gateway:vm, build:docker:supervisor');
  });

  test('the table: the words of the statuses, and what a row says is not said again', async () => {
    const launch = wellLaunch();
    rmSync(join(launch.tools.bin, 'cc'));
    const { status, stdout } = await launch.launch('doctor');
    expect(status).toBe(2);
    expect(stdout).toMatch(/^tools\nnote mise +not on PATH; /m);
    expect(stdout).toMatch(/^BAD {2}C compiler +cc is not on PATH; run: apt-get install gcc libc6-dev .*$/m);
    expect(stdout).toMatch(/^BAD {2}build:docker:gateway +see C compiler$/m);
    expect(stdout).not.toContain('\u001b');
  });

  test('DOC-1: a compiler without the files of the C library', async () => {
    const launch = wellLaunch();
    launch.tools.add('cc', [{ args: [], script: 'echo crti.o' }]);
    const { status, stdout } = await launch.launch('doctor');
    expect(status).toBe(2);
    expect(stdout).toMatch(
      /^BAD {2}C compiler +\S+ has no C library to link with; run: apt-get install gcc libc6-dev /m,
    );
  });
});

describe('the open files of a build, on other machines', tools.options, () => {
  const rowOn = async (facts: Partial<Machine>, extra: Record<string, string> = {}) => {
    const launch = wellLaunch();
    const env = await launch.launchEnv({ OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's'), ...extra });
    const machine = { ...MACHINE, ...facts };
    const ctx = inProcess(launch.tools, env, launch.root, { ...facts, limits: MACHINE.limits });
    await doctor(ctx, ['gateway:docker'], true, machine);
    const report = JSON.parse(ctx.screen.stdout()) as Report;
    expect(Object.keys(badRows(report)).filter((name) => name !== 'open files')).toEqual([]);
    const { status, text } = report.rows.find(({ name }) => name === 'open files') ?? {};
    return status === 'bad' ? `BAD ${text}` : text;
  };
  const mac = (soft: number, hard = Number.POSITIVE_INFINITY) =>
    ({ platform: 'darwin', limits: { soft, hard }, shellLimit: undefined }) as const;

  test.each([
    [
      'raised',
      mac(256),
      {},
      /^a build gets 8192 \(raised: the default of the tasks\); your shell has unknown, and unlimited at most$/,
    ],
    [
      'raised to the wish',
      mac(256),
      { OPENSHELL_BUILD_NOFILE_LIMIT: '4096' },
      /^a build gets 4096 \(raised: OPENSHELL_BUILD_NOFILE_LIMIT\)/,
    ],
    ['enough', mac(10_240), {}, /^a build gets 10240 \(what Node has made of it\)/],
    [
      'refused',
      mac(256, 512),
      {},
      /^BAD the hard limit of open files is 512, .*run: sudo launchctl limit maxfiles 8192 unlimited/,
    ],
    [
      'AQ-14: low on Linux, where the tasks run',
      { ...mac(512, 512), platform: 'linux' as const },
      {},
      /^a build gets 512 open files, which may be too few; the hard limit .*; run: sudo prlimit --pid \$\$ --nofile=8192/,
    ],
    [
      'turned off',
      mac(256),
      { OPENSHELL_BUILD_NOFILE_GUARD: 'off' },
      /^a build gets 256 open files, which may be too few; run: export OPENSHELL_BUILD_NOFILE_GUARD=on$/,
    ],
  ])('%s', async (_, facts, extra, text) => {
    expect(await rowOn(facts, extra)).toMatch(text);
  });
});

describe('DOC-1: the right row is bad, says how to fix it, and the others stay as they are', tools.options, () => {
  test.each(Object.entries(BROKEN))('%s', async (_, broken) => {
    const launch = (broken.make ?? wellLaunch)();
    broken.break?.(launch);
    const { report, status } = await look(launch, [], broken.env, broken.options);
    const bad = badRows(report);
    expect(Object.keys(bad).sort()).toEqual([broken.row, ...(broken.also ?? [])].sort());
    expect(bad[broken.row]).toMatch(broken.text);
    expect(cannotRun(report).filter((task) => task !== 'gateway:podman')).toEqual(
      broken.hinders.filter((task) => task !== 'gateway:podman'),
    );
    expect(status).toBe(broken.hinders.some((task) => task === 'gateway' || task === IMAGES[0]) ? 2 : 0);
  });

  test('a port that is taken, by its owner', async () => {
    const launch = wellLaunch();
    launch.port = await listen('127.0.0.1');
    const { report } = await look(launch);
    const [row, ...others] = Object.entries(badRows(report));
    expect(row).toEqual([
      'docker port',
      expect.stringMatching(/^127.0.0.1:\d+ is in use by node \(pid \d+\); stop it, or set OPENSHELL_SERVER_PORT$/),
    ]);
    expect(others).toEqual([]);
  });

  test('a gateway that is up is no fault, and its port is one for another driver', async () => {
    const launch = wellLaunch();
    const env = await launch.launchEnv({ FAKE_GATEWAY: 'listen' });
    const running = startLaunch('gateway-docker', [], { cwd: launch.root, env });
    await running.said('docker-dev is up');
    const { report, status } = await look(launch, ['gateway:docker', 'gateway:podman', 'gateway']);
    const textOf = (row: string) => report.rows.find(({ name }) => name === row);
    const where = `127.0.0.1 port ${launch.port}`;
    expect(textOf('docker port')).toMatchObject({ status: 'note', text: `${where}: docker-dev is up there` });
    expect(textOf('docker state')).toMatchObject({
      status: 'note',
      text: `${launch.state('docker')}: docker-dev is up there`,
    });
    expect(textOf('podman port')).toMatchObject({ status: 'bad', text: expect.stringMatching(/ is in use by /) });
    expect(report.tasks).toEqual([
      { task: 'gateway', problems: [], isUp: true, canRun: true },
      { task: 'gateway:docker', problems: [], isUp: true, canRun: true },
      { task: 'gateway:podman', problems: expect.any(Array), isUp: false, canRun: false },
    ]);
    expect(status).toBe(2);
    expect((await look(launch)).status).toBe(0);
    running.kill('SIGTERM');
    await running.ended;
  });

  test('a docker that hangs: its row says so, and podman carries the gateway', async () => {
    const launch = new FakeLaunch({ docker: { delay: 60 }, podman: {} });
    const { report, status } = await look(launch);
    expect(badRows(report)).toEqual({});
    const docker = report.rows.find(({ name }) => name === 'docker');
    expect(docker?.text).toMatch(/no response from docker info .* within 15.0 s; find out why it hangs/);
    expect(status).toBe(0);
  }, 60_000);

  test('AR-2: images that a builder elsewhere builds need no daemon here', async () => {
    const builder = String.raw`printf 'Name: far\nDriver: remote\n\nNodes:\nName: far0\nStatus: running\nPlatforms: linux/amd64\n'`;
    const launch = wellLaunch({ info: undefined, refusal: 'Cannot connect to the Docker daemon', builder });
    const env = { DOCKER_BUILDER: 'far', DOCKER_PLATFORM: 'linux/amd64', DOCKER_OUTPUT: 'type=local,dest=out' };
    const { report, status } = await look(launch, IMAGES, env);
    expect(report.rows.find(({ name }) => name === 'for images')).toMatchObject({
      status: 'ok',
      text: expect.stringMatching(/^docker for linux\/amd64 /),
    });
    expect(cannotRun(report)).toEqual([]);
    expect(status).toBe(0);
  });

  test('AR-3: the disk of the target directory that cargo is configured with', async () => {
    const launch = wellLaunch();
    const place = join(launch.tools.directory, 'elsewhere');
    mkdirSync(join(launch.root, '.cargo'));
    writeFileSync(join(launch.root, '.cargo/config.toml'), `[build]\ntarget-dir = "${place}"\n`);
    const { report } = await look(launch);
    expect(report.rows.find(({ name }) => name === 'disk')?.text).toContain(` GB free for ${place}`);
  });

  test('a tool chain that the checkout pins and rustup has yet to get, in one line', async () => {
    const launch = wellLaunch();
    const said = String.raw`printf "error: toolchain '1.95.0' is not installed\nhelp: run rustup\n" >&2; exit 1`;
    launch.tools.add('rustc', [{ args: [], script: said }]);
    expect(badRows((await look(launch)).report).cargo).toEqual(
      expect.stringMatching(/^\S+rustc --version fails: .*toolchain '1.95.0' is not installed/),
    );
  });

  test('a podman without its service: the row says how to start it; images can be built', async () => {
    const launch = new FakeLaunch({ podman: { api: '/nonexistent/podman.sock' } });
    const { report } = await look(launch);
    expect(badRows(report)).toMatchObject({
      podman: expect.stringMatching(/run: systemctl (?:--user )?start podman.socket/),
    });
    expect(cannotRun(report)).not.toContain('build:docker:supervisor');
  });

  test('registered gateways: which responds, and the active one that does not is a note', async () => {
    const launch = wellLaunch();
    const [up, down] = [await listen('127.0.0.1'), await freePort()];
    for (const [name, port] of [
      ['up', up],
      ['down', down],
    ] as const) {
      const path = metadataPath(launch.config, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, JSON.stringify({ gateway_endpoint: `http://127.0.0.1:${port}` }));
    }
    const textOf = ({ rows }: Report) => rows.find(({ name }) => name === 'registered');
    const text = `down at http://127.0.0.1:${down} does not respond; up at http://127.0.0.1:${up} responds`;
    expect(textOf((await look(launch)).report)).toMatchObject({ status: 'ok', text });
    launch.setActive('down');
    expect(textOf((await look(launch)).report)).toMatchObject({
      status: 'note',
      text: expect.stringContaining('down (active)'),
    });
  });
});
