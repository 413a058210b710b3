// SPDX-License-Identifier: Apache-2.0

/** The doctor beside the tasks that it speaks of, a real sccache whose server it judges, and a signal while it waits. */

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { thisHost } from '../../lib/host.ts';
import { DOCTOR_TASKS, type DoctorTask } from '../../lib/product.ts';
import { BROKEN, wellLaunch } from '../support/broken-machines.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { freePort } from '../support/free-port.ts';
import { makeMiniature } from '../support/miniature.ts';
import { processesWith } from '../support/processes.ts';
import { onlyLinux, requireTools } from '../support/real-tools.ts';
import { REFUSALS, refusalScript, runApart } from '../support/refusals.ts';
import { runTaskFile, type TaskResult } from '../support/run-task.ts';
import { makePodmanHome, startDockerd, startPodmanService } from '../support/services.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { until } from '../support/until.ts';

interface ShownRow {
  readonly name: string;
  readonly status: string;
  readonly text: string;
}

function rowsIn({ stdout }: TaskResult): ShownRow[] {
  return (JSON.parse(stdout) as { rows: ShownRow[] }).rows;
}

const compiler = requireTools('cc');
const RUNS_TIMEOUT_MS = 240_000;

/** The dry run of each task. */
const DRY_RUNS: Readonly<Record<DoctorTask, readonly [script: string, ...args: string[]]>> = {
  gateway: ['gateway'],
  'gateway:docker': ['gateway-docker'],
  'gateway:podman': ['gateway-podman'],
  'gateway:vm': ['gateway-vm'],
  'build:docker:supervisor': ['docker-build-image', 'supervisor'],
  'build:docker:gateway': ['docker-build-image', 'gateway'],
  'build:docker:prebuilt': ['stage'],
};

describe('DOC-2: what the doctor calls well, the task accepts', compiler.options, () => {
  const names = Object.keys(BROKEN);
  const OTHERS = [
    {},
    { CI: '1' },
    { DOCKER_PLATFORM: 'linux/arm64' },
    { OPENSHELL_GATEWAY_NAME: '..' },
    { DOCKER_PUSH: 'x' },
  ];

  test(
    'whatever is broken, for every task',
    async () => {
      const machines = fc.tuple(fc.subarray(names, { maxLength: 2 }), fc.constantFrom(...OTHERS));
      await fc.assert(
        fc.asyncProperty(machines, async ([broken, others]) => {
          const all = broken.flatMap((name) => BROKEN[name] ?? []);
          const launch = (all.find(({ make }) => make !== undefined)?.make ?? wellLaunch)();
          for (const one of all) one.break?.(launch);
          const state = { OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') };
          const env = Object.assign({ ...state, ...others }, ...all.map((one) => one.env ?? {}));
          const { stdout } = await launch.launch(
            'doctor',
            ['--json'],
            env,
            all.find(({ options }) => options)?.options,
          );
          const { tasks } = JSON.parse(stdout) as {
            tasks: { task: DoctorTask; canRun: boolean; problems: string[] }[];
          };
          for (const { canRun, task } of tasks.filter((one) => one.canRun)) {
            const [script, ...args] = DRY_RUNS[task];
            const dry = await launch.launch(script, [...args, '--dry-run'], env);
            expect([canRun, dry.status, dry.stderr], task).toEqual([true, 0, dry.stderr]);
            // Nothing is missing, either.
            expect(dry.stdout, task).not.toContain('<WHAT: WHY>');
          }
        }),
        { numRuns: 6 },
      );
    },
    RUNS_TIMEOUT_MS,
  );

  test('and what a task refuses, the doctor has said in the same words', async () => {
    const launch = wellLaunch({ info: undefined, refusal: 'Cannot connect' });
    const env = { OPENSHELL_DOCKER_GATEWAY_NAME: '..', OPENSHELL_SUPERVISOR_PROFILE: 'debug' };
    const { stdout } = await launch.launch('doctor', ['--json', 'gateway:docker'], env);
    // A dry run would go on without the engine.
    const run = await launch.launch('gateway-docker', [], env);
    const said = [...run.stderr.matchAll(/^error: (.*)$/gm)].map(([, text]) => text);
    expect(said.length).toBeGreaterThan(2);
    expect(JSON.parse(stdout).tasks[0].problems).toEqual(expect.arrayContaining(said));
  });

  test('every task is one that has a dry run here', () => {
    expect(Object.keys(DRY_RUNS)).toEqual([...DOCTOR_TASKS]);
  });
});

test('DOC-3: SIGINT while an engine hangs: the status is 130, and nothing is left', compiler.options, async () => {
  const launch = new FakeLaunch({ docker: { delay: 3600 } });
  const mark = `DOCTOR_MARK=${launch.tools.directory}`;
  const [name = '', value = ''] = mark.split('=');
  const result = await launch.launch(
    'doctor',
    [],
    { [name]: value },
    {
      onStart: (child) => void until(() => processesWith(mark).length > 1).then(() => child.kill('SIGINT')),
    },
  );
  expect(result).toMatchObject({ status: 130, stdout: '' });
  expect(processesWith(mark)).toEqual([]);
});

const apart = requireTools('unshare', 'setpriv', 'chattr', 'cc');

describe('DOC-1: places that refuse, for real', apart.options, () => {
  test.each(
    ['full', 'read-only', 'without inodes', 'immutable', 'not permitted'].flatMap((refusal) => [
      [refusal, '.cache/x', 'docker state'] as const,
      [refusal, 'target/x', 'disk'] as const,
    ]),
  )('%s: %s', async (refusal, path, row) => {
    const launch = wellLaunch();
    const file = join(launch.root, path);
    const place = {
      directory: dirname(launch.tools.directory),
      cwd: launch.root,
      env: await launch.launchEnv({ OPENSHELL_VM_DRIVER_STATE_ROOT: join(launch.tools.directory, 's') }),
    };
    const before = refusalScript(refusal, file, dirname(file));
    const isUnprivileged = REFUSALS[refusal]?.isUnprivileged === true;
    const result = await runApart(place, 'doctor', ['--json'], { before, isUnprivileged });
    const bad = rowsIn(result).filter(({ status }) => status === 'bad');
    expect(
      bad.map(({ name }) => name),
      result.stdout,
    ).toEqual([row]);
    expect(bad[0]?.text).toMatch(/cannot be written|cannot be used|is not permitted|no space/);
    expect(result.written.filter((path) => !path.includes('/fakes/calls/'))).toEqual([]);
    expect(result.status).toBe(2);
  });
});

const real = requireTools('cargo', 'rustup', 'cc', 'dockerd', 'docker', 'buildx', 'setpriv', 'runc', 'podman');

describe('with real engines', { ...real.options, timeout: 120_000 }, () => {
  /** A miniature and a home of the test's own; runs the doctor, and gives a row by its name. */
  async function prepare(engine: Record<string, string>, ...tasks: readonly string[]) {
    const directory = temporaryDirectory();
    const root = join(directory, 'checkout');
    makeMiniature({ at: root, width: 0 });
    const env = {
      ...real.env,
      ...engine,
      OPENSHELL_ROOT: root,
      OPENSHELL_SERVER_PORT: String(await freePort()),
      XDG_CONFIG_HOME: join(directory, 'config'),
    };
    return async (name: string, extra: Record<string, string> = {}) => {
      const result = await runTaskFile('doctor', ['--json', ...tasks], { cwd: root, env: { ...env, ...extra } });
      return { result, row: rowsIn(result).find((one) => one.name === name) };
    };
  }

  test('docker: running, behind a context, hanging, and down', async () => {
    const dockerd = await startDockerd();
    const look = await prepare({ ...dockerd.env, CONTAINER_ENGINE: 'docker' }, 'gateway:docker');
    const well = await look('docker');
    expect(well.row).toMatchObject({
      status: 'ok',
      text: expect.stringContaining(dockerd.host.slice('unix://'.length)),
    });
    expect(well.result.status, well.result.stdout).toBe(0);
    expect((await look('builder')).row).toMatchObject({ status: 'ok', text: 'of the driver docker' });
    const far = await look('docker', { DOCKER_HOST: 'tcp://127.0.0.1:1' });
    expect(far.row).toMatchObject({ status: 'bad', text: expect.stringContaining('choose a context with a unix://') });
    process.kill(dockerd.pid, 'SIGSTOP');
    const hanging = await look('docker').finally(() => process.kill(dockerd.pid, 'SIGCONT'));
    expect(hanging.row).toMatchObject({ status: 'bad', text: expect.stringContaining('find out why it hangs') });
    await dockerd.stop();
    const down = await look('docker');
    expect(down.row).toMatchObject({ status: 'bad', text: expect.stringMatching(/Cannot connect .*start Docker/) });
    expect(down.result.status).toBe(2);
  });

  test('podman without its service, and with it', async () => {
    const home = makePodmanHome();
    const socket = join(temporaryDirectory(), 'podman.sock');
    const look = await prepare({ ...home.env, OPENSHELL_PODMAN_SOCKET: socket }, 'gateway:podman');
    const without = await look('podman');
    expect(without.row).toMatchObject({
      status: 'bad',
      text: expect.stringContaining('does not exist; start its service'),
    });
    expect(without.result.status).toBe(2);
    await startPodmanService(home, socket);
    const well = await look('podman');
    expect(well.row).toMatchObject({ status: 'ok', text: `podman on ${socket}, linux/${thisHost().arch}` });
    expect(well.result.status, well.result.stdout).toBe(0);
  });
});

const sccache = requireTools('cc', 'sccache');

test('DOC-4: a real server of sccache with a low limit, and the command that the row has', {
  ...onlyLinux(sccache.options),
  timeout: 60_000,
}, async () => {
  const launch = wellLaunch();
  const env = {
    RUSTC_WRAPPER: sccache.path('sccache'),
    SCCACHE_DIR: join(launch.tools.directory, 'cache'),
    SCCACHE_SERVER_PORT: String(await freePort()),
  };
  const shell = (text: string) =>
    spawnSync('bash', ['-c', text], { env: { ...sccache.env, ...env }, encoding: 'utf8' });
  onTestFinished(() => void shell('"$RUSTC_WRAPPER" --stop-server'));
  const rowOf = async () => {
    const result = await launch.launch('doctor', ['--json'], env);
    // A build recovers from it.
    expect(result.status).toBe(0);
    return rowsIn(result).find(({ name }) => name === 'sccache server');
  };
  expect((await rowOf())?.text).toBe('none of yours runs, the first build starts one');
  expect(shell('ulimit -n 200; "$RUSTC_WRAPPER" --start-server').status).toBe(0);
  const low = await rowOf();
  expect(low).toMatchObject({ status: 'bad' });
  expect(low?.text).toMatch(
    /\(pid \d+, since \d{4}-\d\d-\d\d, \d\d:\d\d:\d\d\) may open 200 files, and builds need 1024/,
  );
  const age = Date.now() - Date.parse(/since (.*?)\)/.exec(low?.text ?? '')?.[1]?.replace(', ', 'T') ?? '');
  expect(Math.abs(age)).toBeLessThan(60_000);
  expect(shell(low?.text.replace(/^.*; run: /, '') ?? 'false').status).toBe(0);
  expect(await rowOf()).toMatchObject({ status: 'ok', text: expect.stringContaining('may open 8192 files') });
});
