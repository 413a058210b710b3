// SPDX-License-Identifier: Apache-2.0

/** The doctor beside the tasks that it speaks of, a real sccache whose server it judges, and a signal while it waits. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DOCTOR_TASKS, type DoctorTask } from '../../lib/product.ts';
import { BROKEN, wellLaunch } from '../support/broken-machines.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { freePort } from '../support/free-port.ts';
import { processesWith } from '../support/processes.ts';
import { requireTools } from '../support/real-tools.ts';
import { until } from '../support/until.ts';

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
  const names = Object.keys(BROKEN).filter((name) => !name.includes('low hard limit'));
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
    const dry = await launch.launch('gateway-docker', ['--dry-run'], env);
    const said = [...dry.stderr.matchAll(/^error: (.*)$/gm)].map(([, text]) => text);
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

const sccache = requireTools('cc', 'sccache');

test.runIf(process.platform === 'linux')(
  'DOC-4: a real server of sccache with a low limit, and the command that the row has',
  { ...sccache.options, timeout: 60_000 },
  async () => {
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
      const { stdout } = await launch.launch('doctor', ['--json'], env);
      const { rows } = JSON.parse(stdout) as { rows: { name: string; status: string; text: string }[] };
      return rows.find(({ name }) => name === 'compiler wrapper');
    };
    expect((await rowOf())?.text).toContain('no server of yours runs');
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
  },
);
