// SPDX-License-Identifier: Apache-2.0

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  addEngine,
  addWorkloads,
  DIGEST,
  type FakeEngine,
  imageCheckout,
  WITH_DIGESTS,
} from '../support/fake-engine.ts';
import type { FakeCheckout } from '../support/fake-rust.ts';
import { processesWith } from '../support/processes.ts';
import { requireTools } from '../support/real-tools.ts';
import {
  runProcess,
  runTaskFile,
  SUITE_ROOT,
  type TaskOptions,
  type TaskResult,
  whenSaid,
} from '../support/run-task.ts';

type Extra = Record<string, string>;

const IMAGES = 'e2e/gpu/images';
const BASE = 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest';

function checkoutWith(name: 'docker' | 'podman' = 'podman', engine: FakeEngine = {}): FakeCheckout {
  const checkout = imageCheckout();
  addWorkloads(checkout.root);
  addEngine(checkout.tools, name, { cases: [WITH_DIGESTS], ...engine });
  onTestFinished(() => checkout.tools.verify());
  return checkout;
}

function build(
  checkout: FakeCheckout,
  extra: Extra = {},
  args: readonly string[] = [],
  options: Partial<TaskOptions> = {},
): Promise<TaskResult> {
  return runTaskFile('e2e-gpu-build-images', args, { cwd: checkout.root, env: checkout.env(extra), ...options });
}

const recordOf = (checkout: FakeCheckout, name: 'latest.env' | 'workloads.yaml') =>
  join(checkout.root, IMAGES, '.build', name);
const recorded = (...args: Parameters<typeof recordOf>) => readFileSync(recordOf(...args), 'utf8');
const manifestOf = (checkout: FakeCheckout): { source: { inputs: object }; workloads: Record<string, string>[] } =>
  JSON.parse(recorded(checkout, 'workloads.yaml'));
const listed = (checkout: FakeCheckout) =>
  manifestOf(checkout).workloads.map(({ name, image }) => [name, image] as const);
const builds = (checkout: FakeCheckout) => checkout.tools.lines().filter((line) => / build /.test(line));
const selection = (names: string) => ({ OPENSHELL_GPU_WORKLOAD_IMAGES: names });

/** The variables that a shell has once it has read the file. */
async function sourced(checkout: FakeCheckout, shell = 'bash'): Promise<Extra> {
  const script = `. ${recordOf(checkout, 'latest.env')}; exec ${process.execPath} -p 'JSON.stringify(process.env)'`;
  const result = await runProcess(`/bin/${shell}`, ['-c', script], { cwd: '/', env: {} });
  const own = ['PWD', 'OLDPWD', 'SHLVL', '_', 'NODE_COMPILE_CACHE'];
  return Object.fromEntries(Object.entries<string>(JSON.parse(result.stdout)).filter(([name]) => !own.includes(name)));
}

/** Takes all workload images out of the engine. */
const lose = (checkout: FakeCheckout) => {
  const script = `case "$*" in *gpu-workload*) exit 125 ;; *) echo ${DIGEST} ;; esac`;
  const missing = { args: ['image', 'inspect', '--format', '{{.Digest}}'], script };
  addEngine(checkout.tools, 'podman', { cases: [missing] });
};

describe('what an engine is started with', () => {
  test('podman', async () => {
    const checkout = checkoutWith();
    const result = await build(checkout);
    expect(result.status, result.stderr).toBe(0);
    const images = result.stdout.trimEnd().split('\n');
    expect(images.map((image) => image.replace(/:[0-9a-f]{12}$/, ''))).toEqual(
      ['smoke-pass', 'smoke-fail', 'cuda-basic'].map((name) => `localhost/openshell/gpu-workload-${name}`),
    );
    const [pass = '', , cuda = ''] = images;
    const context = (name: string) => join(checkout.root, IMAGES, name);
    const label = '--label com.nvidia.openshell.gpu-workload';
    const lead = (name: string, image: string) =>
      `podman build -f ${context(name)}/Dockerfile -t ${image} ${label}.source=${name} ${label}.base-image=${BASE} ` +
      `${label}.input-fingerprint=${image.split(':')[1]} `;
    expect(builds(checkout)[0]).toBe(
      `${lead('smoke-pass', pass)}--build-arg OPENSHELL_SANDBOX_BASE_IMAGE=${BASE} ${context('smoke-pass')}`,
    );
    const cudaImage = 'nvcr.io/nvidia/cuda:12.8.1-base-ubuntu22.04';
    const samples = 'https://github.com/NVIDIA/cuda-samples';
    expect(builds(checkout)[2]).toBe(
      `${lead('cuda-basic', cuda)}${label}.cuda-build-image=${cudaImage} ${label}.cuda-samples-repo=${samples} ` +
        `${label}.cuda-samples-ref=v12.8 --build-arg OPENSHELL_SANDBOX_BASE_IMAGE=${BASE} ` +
        `--build-arg CUDA_BUILD_IMAGE=${cudaImage} --build-arg CUDA_SAMPLES_REPO=${samples} ` +
        `--build-arg CUDA_SAMPLES_REF=v12.8 ${context('cuda-basic')}`,
    );
    expect(builds(checkout)).toHaveLength(3);
  });

  test('docker, with a builder and settings of ones own', async () => {
    const checkout = checkoutWith('docker');
    const settings = {
      ...selection('cuda-basic'),
      OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: 'mine',
      OPENSHELL_SANDBOX_BASE_IMAGE: `localhost:5000/a/base:1@${DIGEST}`,
      CUDA_SAMPLES_REF: 'v13.0',
      DOCKER_BUILDER: 'far',
    };
    const result = await build(checkout, settings);
    expect(result).toMatchObject({ status: 0, stdout: 'localhost/openshell/gpu-workload-cuda-basic:mine\n' });
    const [line = ''] = builds(checkout).filter((one) => one.startsWith('docker buildx build'));
    expect(line).toMatch(/^docker buildx build --builder far -f \S+ -t \S+:mine --provenance=false --label /);
    expect(line).toContain(` --build-arg OPENSHELL_SANDBOX_BASE_IMAGE=localhost:5000/a/base:1@${DIGEST} `);
    expect(line).toMatch(/ --build-arg CUDA_SAMPLES_REF=v13\.0 --load \S+\/cuda-basic$/);
    expect(line.lastIndexOf('--label')).toBeLessThan(line.indexOf('--build-arg'));
  });

  test('a dry run prints the commands that a run echoes, and the files; it builds and writes nothing', async () => {
    const checkout = checkoutWith();
    const planned = await build(checkout, {}, ['--dry-run']);
    expect(planned.status).toBe(0);
    expect(builds(checkout)).toEqual([]);
    expect(existsSync(join(checkout.root, IMAGES, '.build'))).toBe(false);
    const run = await build(checkout);
    const echoes = [...run.stderr.matchAll(/^\$ (.*)$/gm)].map(([, line]) => line);
    const files = ['workloads.yaml', 'latest.env'] as const;
    expect(planned.stdout.trimEnd().split('\n')).toEqual([
      `cd ${checkout.root}`,
      ...echoes,
      ...files.map((name) => `# writes ${recordOf(checkout, name)}`),
    ]);
  });
});

describe('the files', () => {
  test('the manifest', async () => {
    const checkout = checkoutWith();
    lose(checkout);
    const { stdout, stderr } = await build(checkout, selection('smoke-fail'));
    const fingerprint = stdout.trimEnd().split(':')[1];
    expect(stderr).toContain(`\nfingerprint of the inputs: ${fingerprint}\n`);
    expect(manifestOf(checkout)).toEqual({
      schema_version: 1,
      generated_by: 'mise run e2e:workloads:build',
      source: {
        path: `${checkout.root}/e2e/gpu/images`,
        input_fingerprint: fingerprint,
        container_engine: 'podman',
        inputs: {
          openshell_sandbox_base_image: BASE,
          cuda_build_image: 'nvcr.io/nvidia/cuda:12.8.1-base-ubuntu22.04',
          cuda_samples_repo: 'https://github.com/NVIDIA/cuda-samples',
          cuda_samples_ref: 'v12.8',
          openshell_sandbox_base_image_digest: DIGEST,
        },
      },
      workloads: [
        {
          name: 'smoke-fail',
          image: `localhost/openshell/gpu-workload-smoke-fail:${fingerprint}`,
          command: ['/usr/local/bin/openshell-gpu-workload'],
          expect: 'fail',
          requirements: { gpu: true },
        },
      ],
    });
  });

  test.each(['bash', 'dash'])('X5: any shell reads the variables: %s', async (shell) => {
    const checkout = checkoutWith();
    const { stdout } = await build(checkout);
    const [pass, fail, cuda] = stdout.trimEnd().split('\n');
    expect(await sourced(checkout, shell)).toEqual({
      OPENSHELL_GPU_WORKLOAD_IMAGE_SOURCE_PATH: join(checkout.root, IMAGES),
      OPENSHELL_GPU_WORKLOAD_IMAGE_INPUT_FINGERPRINT: expect.stringMatching(/^[0-9a-f]{12}$/),
      OPENSHELL_GPU_WORKLOAD_BASE_IMAGE: BASE,
      OPENSHELL_GPU_WORKLOAD_BASE_IMAGE_DIGEST: DIGEST,
      OPENSHELL_GPU_WORKLOAD_CUDA_BUILD_IMAGE: 'nvcr.io/nvidia/cuda:12.8.1-base-ubuntu22.04',
      OPENSHELL_GPU_WORKLOAD_CUDA_SAMPLES_REPO: 'https://github.com/NVIDIA/cuda-samples',
      OPENSHELL_GPU_WORKLOAD_CUDA_SAMPLES_REF: 'v12.8',
      OPENSHELL_GPU_WORKLOAD_CONTAINER_ENGINE: 'podman',
      OPENSHELL_E2E_WORKLOAD_MANIFEST: recordOf(checkout, 'workloads.yaml'),
      OPENSHELL_E2E_GPU_SMOKE_PASS_IMAGE: pass,
      OPENSHELL_E2E_GPU_SMOKE_FAIL_IMAGE: fail,
      OPENSHELL_E2E_GPU_CUDA_WORKLOAD_IMAGE: cuda,
    });
  });

  test('a checkout in a place with quotes, blanks, line breaks and control characters', async () => {
    const checkout = checkoutWith();
    const root = join(checkout.tools.directory, 'it\'s "a\\b"\n $(x)');
    mkdirSync(join(root, 'crates/openshell-server'), { recursive: true });
    writeFileSync(join(root, 'Cargo.toml'), '[workspace]\n');
    addWorkloads(root, ['smoke-pass']);
    const result = await build(checkout, { OPENSHELL_ROOT: root });
    expect(result.status, result.stderr).toBe(0);
    const manifest = join(root, IMAGES, '.build/workloads.yaml');
    const script = `. "$1"; printf %s "$OPENSHELL_E2E_WORKLOAD_MANIFEST"`;
    const args = ['-c', script, 'sh', join(root, IMAGES, '.build/latest.env')];
    expect((await runProcess('/bin/bash', args, { cwd: '/', env: {} })).stdout).toBe(manifest);
    expect(JSON.parse(readFileSync(manifest, 'utf8')).source.path).toBe(join(root, IMAGES));
  });

  test('GPU-5: they appear whole, and none is there for a build that has failed', async () => {
    const checkout = checkoutWith();
    await build(checkout);
    const before = recorded(checkout, 'workloads.yaml');
    const fail = 'case "$*" in *smoke-fail*) echo "no such base" >&2; exit 17 ;; esac';
    addEngine(checkout.tools, 'podman', { cases: [WITH_DIGESTS], build: fail });
    writeFileSync(join(checkout.root, IMAGES, 'smoke-pass/workload.sh'), 'edited\n');
    const result = await build(checkout);
    expect(result).toMatchObject({ status: 17, stdout: '' });
    expect(result.stderr).toMatch(/^no such base$/m);
    expect(result.stderr).not.toMatch(/^(done|wrote)/m);
    expect(recorded(checkout, 'workloads.yaml')).toBe(before);
    expect(readdirSync(join(checkout.root, IMAGES, '.build')).sort()).toEqual(['latest.env', 'workloads.yaml']);
    expect(builds(checkout).filter((line) => line.includes('cuda-basic'))).toHaveLength(1);
  });
});

describe('GPU-1: a shell that has read latest.env', () => {
  test('builds what has been edited under another tag', async () => {
    const checkout = checkoutWith();
    const first = await build(checkout);
    const variables = await sourced(checkout);
    writeFileSync(join(checkout.root, IMAGES, 'smoke-pass/workload.sh'), 'edited\n');
    const second = await build(checkout, variables);
    const [before, now] = [first, second].map(({ stdout }) => stdout.trimEnd().split('\n'));
    expect(now?.[0]).not.toBe(before?.[0]);
    expect(now?.slice(1)).toEqual(before?.slice(1));
  });

  test('has the default inputs again, and chooses the engine anew', async () => {
    const checkout = checkoutWith();
    await build(checkout, { OPENSHELL_SANDBOX_BASE_IMAGE: 'localhost/base:1', CUDA_SAMPLES_REF: 'v1' });
    const variables = await sourced(checkout);
    expect(variables.OPENSHELL_GPU_WORKLOAD_BASE_IMAGE).toBe('localhost/base:1');
    const plain = await build(checkout, {}, ['--dry-run']);
    expect((await build(checkout, variables, ['--dry-run'])).stdout).toBe(plain.stdout);
  });
});

describe('GPU-2: the selection', () => {
  test('order, blanks around names and duplicates make no difference, and a workload has the same tag in all', async () => {
    const checkout = checkoutWith();
    const all = (await build(checkout)).stdout.trimEnd().split('\n');
    const some = await build(checkout, selection(' smoke-fail,smoke-pass ,, smoke-fail,'));
    expect(some.stdout.trimEnd().split('\n')).toEqual(all.slice(0, 2));
    expect((await build(checkout, selection('smoke-fail'))).stdout).toBe(`${all[1]}\n`);
    expect(builds(checkout)).toHaveLength(3 + 2 + 1);
  });

  test('what the checkout does not have cannot be selected, and is not needed', async () => {
    const checkout = checkoutWith();
    rmSync(join(checkout.root, IMAGES, 'cuda-basic/Dockerfile'));
    expect((await build(checkout)).stdout.trimEnd().split('\n')).toHaveLength(2);
    const result = await build(checkout, selection('cuda-basic,smoke-pass'));
    expect(result.status).toBe(2);
    expect(result.stderr).toBe(
      "error: OPENSHELL_GPU_WORKLOAD_IMAGES names 'cuda-basic'; the checkout has smoke-pass, smoke-fail; change it or unset it\n",
    );
  });
});

describe('GPU-3: the digest of the base image', () => {
  const docker = (cases: FakeEngine['cases']) => checkoutWith('docker', { cases: cases ?? [] });
  const digest = 'openshell_sandbox_base_image_digest';

  test('docker: of an image that only BuildKit has, from the registry', async () => {
    const checkout = docker([
      { args: ['image', 'inspect'], script: 'echo "No such image" >&2; exit 1' },
      { args: ['buildx', 'imagetools', 'inspect', '--format'], script: `echo '"${DIGEST}"'` },
    ]);
    await build(checkout, selection('smoke-pass'));
    expect(manifestOf(checkout).source.inputs).toHaveProperty(digest, DIGEST);
  });

  test('where the engine does not tell it, that is said, and it is not recorded', async () => {
    const checkout = docker([
      { args: ['image', 'inspect'], script: 'echo "No such image" >&2; exit 1' },
      { args: ['buildx', 'imagetools', 'inspect'], script: 'exit 1' },
    ]);
    const result = await build(checkout, selection('smoke-pass'));
    expect(result.status).toBe(0);
    expect(result.stderr).toContain(`warning: the digest of ${BASE} is not recorded`);
    expect(recorded(checkout, 'workloads.yaml')).not.toContain('digest');
    expect(recorded(checkout, 'latest.env')).not.toContain('DIGEST');
  });
});

describe('GPU-4: what cannot be hashed ends the task before anything is built', () => {
  const tools = requireTools('setpriv');
  test('a file that cannot be read', tools.options, async () => {
    const checkout = checkoutWith();
    const file = join(checkout.root, IMAGES, 'smoke-fail/.secret');
    writeFileSync(file, '');
    chmodSync(file, 0o000);
    // Root reads it all the same, and only root can do without that.
    const isRoot = process.getuid?.() === 0;
    const through = isRoot ? [tools.path('setpriv'), '--bounding-set=-dac_override,-dac_read_search'] : [];
    const result = await build(checkout, {}, [], { through });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^error: ${file}: permission is denied[^\\n]*\\n$`));
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('hidden files and those in directories count, and links do not', async () => {
    const checkout = checkoutWith();
    const tag = async () => (await build(checkout, selection('smoke-pass'), ['--dry-run'])).stdout.match(/-t \S+/)?.[0];
    const at = (path: string) => join(checkout.root, IMAGES, 'smoke-pass', path);
    const tags = [await tag()];
    mkdirSync(at('a/.b'), { recursive: true });
    for (const path of ['.hidden', 'a/.b/c']) {
      writeFileSync(at(path), path);
      tags.push(await tag());
    }
    expect(new Set(tags).size).toBe(3);
    for (const [index, target] of ['.', '../smoke-fail', '.hidden', '/nonexistent'].entries()) {
      symlinkSync(target, at(`link-${index}`));
    }
    expect(await tag()).toBe(tags[2]);
  });
});

describe('GPU-5: a run for some workloads', () => {
  test('leaves the others in the manifest, as they are', async () => {
    const checkout = checkoutWith();
    await build(checkout);
    const files = ['workloads.yaml', 'latest.env'] as const;
    const before = files.map((name) => recorded(checkout, name));
    const result = await build(checkout, selection('smoke-fail'));
    expect(result.stderr).not.toContain('warning');
    expect(files.map((name) => recorded(checkout, name))).toEqual(before);
  });

  const edit = (checkout: FakeCheckout) =>
    writeFileSync(join(checkout.root, IMAGES, 'cuda-basic/workload.sh'), 'edited\n');

  test.each([
    ['is not there any more', lose, {}, ['smoke-fail']],
    ['has a tag of the user', () => {}, { OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: 'x' }, ['smoke-fail']],
  ])('lists none whose image %s', async (_, change, extra, names) => {
    const checkout = checkoutWith();
    await build(checkout);
    change(checkout);
    const result = await build(checkout, { ...selection('smoke-fail'), ...extra });
    expect(result.status, result.stderr).toBe(0);
    expect(listed(checkout).map(([name]) => name)).toEqual(names);
  });

  test('looks for the others by what they would be built from now', async () => {
    const checkout = checkoutWith();
    await build(checkout);
    const before = new Map(listed(checkout));
    edit(checkout);
    await build(checkout, selection('smoke-fail'));
    const looked = checkout.tools
      .lines()
      .filter((line) => /inspect .*cuda-basic/.test(line))
      .at(-1);
    expect(looked).not.toContain(before.get('cuda-basic'));
  });
});

describe('bad input: all of it at once, before anything is started', () => {
  test.each([
    [
      selection('smoke pass'),
      "OPENSHELL_GPU_WORKLOAD_IMAGES names 'smoke pass'; the checkout has smoke-pass, smoke-fail, ",
    ],
    [selection('Smoke-Pass,nope,nope'), "OPENSHELL_GPU_WORKLOAD_IMAGES names 'Smoke-Pass', 'nope'; "],
    [
      selection(' , '),
      "OPENSHELL_GPU_WORKLOAD_IMAGES names ' , '; the checkout has smoke-pass, smoke-fail, cuda-basic; ",
    ],
    [selection('../smoke-pass'), "OPENSHELL_GPU_WORKLOAD_IMAGES names '../smoke-pass'; "],
    [{ OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: 'a b' }, "OPENSHELL_GPU_WORKLOAD_IMAGE_TAG is 'a b'; allowed are up to 128 "],
    [{ OPENSHELL_SANDBOX_BASE_IMAGE: 'Base' }, "OPENSHELL_SANDBOX_BASE_IMAGE is 'Base'; allowed is [HOST[:PORT]/]NAME"],
    [{ OPENSHELL_SANDBOX_BASE_IMAGE: 'a@sha256:1' }, "OPENSHELL_SANDBOX_BASE_IMAGE is 'a@sha256:1'; allowed is "],
    [{ OPENSHELL_SANDBOX_BASE_IMAGE: 'a\nb' }, "OPENSHELL_SANDBOX_BASE_IMAGE is 'a\\nb'; "],
    [{ CUDA_BUILD_IMAGE: 'docker://x' }, "CUDA_BUILD_IMAGE is 'docker://x'; "],
    [{ CUDA_SAMPLES_REPO: 'git@github.com:x/y' }, "CUDA_SAMPLES_REPO is 'git@github.com:x/y'; allowed is a URL "],
    [{ CUDA_SAMPLES_REPO: 'https://x/y"; rm' }, "CUDA_SAMPLES_REPO is 'https://x/y\"; rm'; "],
    [{ CUDA_SAMPLES_REF: '../x' }, "CUDA_SAMPLES_REF is '../x'; allowed is a tag of CUDA_SAMPLES_REPO"],
    [{ CUDA_SAMPLES_REF: '-x' }, "CUDA_SAMPLES_REF is '-x'; "],
    [{ DOCKER_BUILDER: 'a b' }, "DOCKER_BUILDER is 'a b'; "],
  ])('%j', async (extra, message) => {
    const checkout = checkoutWith();
    const result = await build(checkout, extra as unknown as Extra);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr.startsWith(`error: ${message}`), result.stderr).toBe(true);
    expect(result.stderr.match(/\n/g)).toHaveLength(1);
    expect(checkout.tools.lines()).toEqual([]);
  });

  test('several, a line each', async () => {
    const extra = { ...selection('nope'), CUDA_SAMPLES_REF: '-x', OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: '-' };
    const { status, stderr } = await build(checkoutWith(), extra);
    expect(status).toBe(2);
    expect(stderr.match(/^error: \w+/gm)).toEqual([
      'error: CUDA_SAMPLES_REF',
      'error: OPENSHELL_GPU_WORKLOAD_IMAGES',
      'error: OPENSHELL_GPU_WORKLOAD_IMAGE_TAG',
    ]);
  });

  test('credentials in the URL are refused, and not repeated', async () => {
    const extra = { CUDA_SAMPLES_REPO: 'https://me:ghp_secret@github.com/x/y' };
    const { status, stderr } = await build(checkoutWith(), extra);
    expect(status).toBe(2);
    expect(stderr).toContain("CUDA_SAMPLES_REPO is 'https://…@github.com/x/y'; allowed is a URL without user");
    expect(stderr).not.toContain('secret');
  });

  test('a checkout without workloads', async () => {
    const checkout = checkoutWith();
    rmSync(join(checkout.root, 'e2e'), { recursive: true });
    const result = await build(checkout, selection('smoke-pass'));
    expect(result.status).toBe(2);
    expect(result.stderr).toBe(
      `error: ${checkout.root}/${IMAGES} has no Dockerfile of any workload (smoke-pass, smoke-fail, cuda-basic); check OPENSHELL_ROOT\n`,
    );
  });

  test('a builder that does not exist, before the first build', async () => {
    const checkout = checkoutWith('docker', { builder: `echo 'ERROR: no builder "far" found' >&2; exit 1` });
    const result = await build(checkout, { DOCKER_BUILDER: 'far' });
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^error: builder 'far' \(DOCKER_BUILDER\) does not exist; /m);
    expect(builds(checkout)).toEqual([]);
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s while an image is built: nothing is recorded, and no program is left', async (signal, status) => {
  const checkout = checkoutWith('podman', { build: 'echo asleep >&2; exec /bin/sleep 60' });
  const RUN_MARK = checkout.tools.directory;
  const onStart = whenSaid('asleep', (child) => child.kill(signal));
  const result = await build(checkout, { RUN_MARK }, [], { onStart });
  expect(result).toMatchObject({ status, stdout: '' });
  expect(result.stderr).toMatch(new RegExp(`^error: stopped by ${signal}$`, 'm'));
  expect(processesWith(`RUN_MARK=${RUN_MARK}`)).toEqual([]);
  expect(builds(checkout)).toHaveLength(1);
  expect(existsSync(join(checkout.root, IMAGES, '.build'))).toBe(false);
});

test('SIGINT while the engine is asked for a digest: nothing is recorded', async () => {
  const asked = { args: ['image', 'inspect'], script: 'exec /bin/sleep 60' };
  const checkout = checkoutWith('podman', { cases: [asked] });
  const RUN_MARK = checkout.tools.directory;
  const onStart: TaskOptions['onStart'] = async (child) => {
    await vi.waitUntil(() => checkout.tools.lines().some((line) => line.startsWith('podman image')), 20_000);
    child.kill('SIGINT');
  };
  const result = await build(checkout, { RUN_MARK }, [], { onStart });
  expect(result).toMatchObject({ status: 130, stdout: '' });
  expect(processesWith(`RUN_MARK=${RUN_MARK}`)).toEqual([]);
  expect(existsSync(join(checkout.root, IMAGES, '.build'))).toBe(false);
});

test('--help', async () => {
  const { stdout, status } = await runTaskFile('e2e-gpu-build-images', ['--help'], { cwd: SUITE_ROOT, env: {} });
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Usage: tasks\/e2e-gpu-build-images\.ts /m);
  expect(stdout).toContain('OPENSHELL_GPU_WORKLOAD_IMAGES');
});
