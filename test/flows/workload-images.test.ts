// SPDX-License-Identifier: Apache-2.0

/** Workload images of the miniature, built by real engines on a base that is made here, and run. */

import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { importBaseImage } from '../support/base-image.ts';
import { makeMiniature } from '../support/miniature.ts';
import { requireTools } from '../support/real-tools.ts';
import { runMise } from '../support/run-mise.ts';
import { runTaskFile, SUITE_ROOT, type TaskOptions, whenSaid } from '../support/run-task.ts';
import { makePodmanHome, startDockerd } from '../support/services.ts';

const BUILD_TIMEOUT_MS = 120_000;
const BASE = 'localhost/base:1';
const IMAGES = 'e2e/gpu/images';
const tools = requireTools('dockerd', 'docker', 'buildx', 'podman', 'runc', 'setpriv', 'busybox', 'mise');

describe.each(['podman', 'docker'] as const)('real workload images with %s', (engine) => {
  describe('built and run', tools.options, () => {
    let directory = '';
    let root = '';
    let env: Record<string, string> = {};

    beforeAll(async () => {
      directory = mkdtempSync(join(realpathSync(tmpdir()), 'openshell-workloads-'));
      root = join(directory, 'checkout');
      makeMiniature({ at: root });
      env = {
        ...tools.env,
        ...(engine === 'docker' ? (await startDockerd()).env : makePodmanHome().env),
        OPENSHELL_ROOT: root,
        CONTAINER_ENGINE: engine,
        OPENSHELL_SANDBOX_BASE_IMAGE: BASE,
        CUDA_BUILD_IMAGE: BASE,
        BUILDKIT_PROGRESS: 'plain',
      };
      importBaseImage(tools.path(engine), env, BASE);
    }, BUILD_TIMEOUT_MS);

    afterAll(() => rmSync(directory, { recursive: true, force: true }));

    const call = (...args: readonly string[]) => spawnSync(tools.path(engine), args, { env, encoding: 'utf8' });
    const build = (extra: Record<string, string> = {}, options: Partial<TaskOptions> = {}) =>
      runTaskFile('e2e-gpu-build-images', [], { cwd: root, env: { ...env, ...extra }, ...options });
    // By default podman sets limits that root may not set everywhere.
    const limits = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024'];
    const run = (image: string) => call('run', '--rm', '--network=none', ...limits, image);
    const recorded = (name: string) => readFileSync(join(root, IMAGES, '.build', name), 'utf8');

    test(
      'mise run e2e:workloads:build: each prints its marker and ends as the manifest says',
      async () => {
        const result = await runMise(['run', 'e2e:workloads:build'], SUITE_ROOT, { ...env, HOME: directory });
        expect(result.status, result.stderr).toBe(0);
        const { workloads }: { workloads: { image: string; command: string[]; expect: string }[] } = JSON.parse(
          recorded('workloads.yaml'),
        );
        expect(workloads.map(({ image }) => image)).toEqual(result.stdout.trimEnd().split('\n'));
        const runs = workloads.map(({ image, command, expect: expected }) => {
          const [facts] = JSON.parse(call('image', 'inspect', image).stdout);
          expect(facts.Config.Entrypoint).toEqual(command);
          expect(facts.Config.Labels['com.nvidia.openshell.gpu-workload.input-fingerprint']).toBe(image.split(':')[1]);
          const { status, stdout, stderr } = run(image);
          return { expected, status, said: stdout + stderr };
        });
        expect(runs).toEqual([
          { expected: 'pass', status: 0, said: 'OPENSHELL_GPU_WORKLOAD_SUCCESS: smoke-pass as sandbox\n' },
          { expected: 'fail', status: 42, said: 'OPENSHELL_GPU_WORKLOAD_FAILURE: smoke-fail\n' },
          {
            expected: 'pass',
            status: 0,
            said: 'https://github.com/NVIDIA/cuda-samples v12.8\nOPENSHELL_GPU_WORKLOAD_SUCCESS: cuda-basic\n',
          },
        ]);
      },
      BUILD_TIMEOUT_MS,
    );

    test(
      'GPU-3, GPU-5: the digest is that of the base, and a run for one workload leaves the others',
      async () => {
        const [base] = JSON.parse(call('image', 'inspect', BASE).stdout);
        const digest = engine === 'podman' ? base.Digest : base.Id;
        await build();
        const before = recorded('latest.env');
        expect(before).toContain(`export OPENSHELL_GPU_WORKLOAD_BASE_IMAGE_DIGEST='${digest}'\n`);
        expect((await build({ OPENSHELL_GPU_WORKLOAD_IMAGES: 'smoke-fail' })).status).toBe(0);
        expect(recorded('latest.env')).toBe(before);
        const image = /CUDA_WORKLOAD_IMAGE='(.*)'/.exec(before)?.[1] ?? '';
        expect(call('rmi', image).status).toBe(0);
        await build({ OPENSHELL_GPU_WORKLOAD_IMAGES: 'smoke-fail' });
        expect(recorded('latest.env')).not.toContain(image);
      },
      BUILD_TIMEOUT_MS,
    );

    // The daemon of the tests has no network, without which no step of a Dockerfile starts a program.
    if (engine === 'docker') return;
    test(
      'SIGINT in a build: no image has its tag, nothing is recorded, and no container is left',
      async () => {
        await build();
        const before = recorded('workloads.yaml');
        appendFileSync(join(root, IMAGES, 'smoke-fail/Dockerfile'), 'RUN echo $((6 * 7)) is asleep && sleep 30\n');
        const onStart = whenSaid('42 is asleep', (child) => child.kill('SIGINT'));
        const result = await build({ OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: 'cut' }, { onStart });
        expect(result).toMatchObject({ status: 130, stdout: '' });
        expect(result.stderr).toMatch(/^error: stopped by SIGINT$/m);
        expect(call('image', 'inspect', 'localhost/openshell/gpu-workload-smoke-fail:cut').status).not.toBe(0);
        expect(recorded('workloads.yaml')).toBe(before);
        expect(readdirSync(join(root, IMAGES, '.build')).sort()).toEqual(['latest.env', 'workloads.yaml']);
        expect(call('ps', '--all', '--external', '--quiet').stdout).toBe('');
      },
      BUILD_TIMEOUT_MS,
    );
  });
});
