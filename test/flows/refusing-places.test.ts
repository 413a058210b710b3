// SPDX-License-Identifier: Apache-2.0

/**
 * Every task, with a file system that refuses at every place that the task writes. The places are those that the dry
 * run names and those that a run writes; a task that is new fails here until it has a case.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FakeAdoption } from '../support/fake-adoption.ts';
import { FakeCluster } from '../support/fake-cluster.ts';
import { addDeb, debEnv } from '../support/fake-deb.ts';
import { addWorkloads, WITH_DIGESTS } from '../support/fake-engine.ts';
import { FakeLaunch } from '../support/fake-launch.ts';
import { FakeLibkrun } from '../support/fake-libkrun.ts';
import { builderRow, FakePublishing } from '../support/fake-publishing.ts';
import { FakeRuntime } from '../support/fake-runtime.ts';
import { fakeZig } from '../support/fake-zig.ts';
import { freePort } from '../support/free-port.ts';
import { taskNames } from '../support/readme-tables.ts';
import { requireTools } from '../support/real-tools.ts';
import { type Place, REFUSALS, refusalScript, runApart } from '../support/refusals.ts';
import type { TaskResult } from '../support/run-task.ts';

const tools = requireTools('unshare', 'setpriv', 'chattr', 'cc');

/** How many runs are under way at once. */
const WORKERS = 3;
/** A fake cargo does this while it compiles. */
const CARGO = { before: 'eval "$FAKE_REFUSAL"' };
const CONTAINER = builderRow('default', 'docker-container');
const AMD64 = { DOCKER_PLATFORM: 'linux/amd64', PREBUILT_ARCH: 'amd64', GUEST_ARCH: 'amd64' };
const TARGET = 'x86_64-unknown-linux-gnu.2.28';

/** The refusals that begin while cargo compiles, too. */
const WHILE_COMPILING = ['read-only', 'full', 'a directory where a file is wanted'];

interface Case {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it has a dry run. */
  readonly isPlanned?: boolean;
}

const PACKAGE = [
  '--platform',
  'linux-x86_64',
  '--build-dir',
  'checkout/target/libkrun-build',
  '--output',
  'user/out/x',
];
const STAMPED = { OPENSHELL_CARGO_VERSION: '1.2.3' };
/** The task for macOS does, there; the smoke test has a new directory for each run, and says what is wrong with TMPDIR. */
const WRITES_NOTHING = [
  ...['test-install-sh', 'test-packaging-assets', 'verify-telemetry-compiled-out', 'doctor', 'docker-build-ci'],
  ...[
    'docker-cleanup',
    'keycloak-dev',
    'keycloak-k8s-setup',
    'sandbox',
    'verify-glibc-symbols',
    'verify-static-binary',
  ],
  ...['vm/build-libkrun-macos', 'vm/smoke-orphan-cleanup'],
  // What it writes is what package-deb writes; it ends with programs of the system.
  'package-deb-install',
];
const CASES: Readonly<Record<string, Case>> = {
  stage: { args: [], env: STAMPED },
  'docker-build-image': { args: ['supervisor'], env: { CONTAINER_ENGINE: 'docker' } },
  'docker-publish-multiarch': { args: [], env: { DOCKER_PLATFORMS: 'linux/amd64' } },
  'e2e-gpu-build-images': { args: [], env: { CONTAINER_ENGINE: 'docker' } },
  'gateway-docker': { args: [] },
  'gateway-podman': { args: [] },
  'gateway-vm': { args: [] },
  gateway: { args: ['--driver', 'k8s'] },
  'vm/build-supervisor-bundle': { args: [], env: STAMPED },
  'vm/build-libkrun': { args: [] },
  adopt: { args: ['checkout'] },
  'vm/vm-setup': { args: [] },
  'vm/download-kernel-runtime': { args: [] },
  'vm/compress-vm-runtime': { args: [] },
  'vm/package-vm-runtime': { args: PACKAGE },
  'snap-gateway-wrapper': { args: ['--output', 'user/snap/wrapper'] },
  'helm-k3s-local': { args: ['create'] },
  'package-deb': { args: [], env: { OPENSHELL_OUTPUT_DIR: 'user/deb' } },
  'setup-zig-cc-wrapper': { args: [TARGET, TARGET, 'user/wrappers'], isPlanned: false },
};

test('every task is here', () => {
  const message =
    'a task is missing here: add a run that writes all it ever writes to CASES, or its name to WRITES_NOTHING';
  expect([...Object.keys(CASES), ...WRITES_NOTHING].sort(), message).toEqual(taskNames());
});

/** The tasks of the VM runtime have a server. */
async function runtimePlaceOf(): Promise<Place> {
  const fake = await FakeRuntime.start();
  fake.addBuild();
  const directory = dirname(fake.tools.directory);
  const TMPDIR = join(directory, 'user/tmp');
  mkdirSync(TMPDIR, { recursive: true });
  return { directory, cwd: directory, env: fake.env({ ...fake.releaseEnv(), TMPDIR }), suite: fake.suite.root };
}

/** A cluster whose kubeconfig is the user's. */
async function clusterPlaceOf(): Promise<Place> {
  const cluster = new FakeCluster();
  const directory = dirname(cluster.tools.directory);
  const own = { HELM_K3S_LB_HOST_PORT: String(await freePort()), OPENSHELL_ROOT: cluster.root };
  const HELM_K3S_KUBECONFIG = join(directory, 'user/kube/config');
  const env = cluster.tools.env({ ...own, HELM_K3S_KUBECONFIG, TMPDIR: cluster.temporary });
  return { directory, cwd: directory, env };
}

/** A clone beside the checkout. */
function adoptionPlace(): Place {
  const fake = new FakeAdoption();
  const directory = dirname(fake.root);
  return { directory, cwd: directory, env: fake.tools.env(), suite: fake.suite.root };
}

const RUNTIME = /^vm\/(vm-setup|download|compress|package)/;

/** A checkout with all that a task needs, in one directory with what the user's variables name. */
async function placeOf(task: string): Promise<Place> {
  if (RUNTIME.test(task)) return runtimePlaceOf();
  if (task === 'helm-k3s-local') return clusterPlaceOf();
  if (task === 'adopt') return adoptionPlace();
  const isPublish = task === 'docker-publish-multiarch';
  const publishing = isPublish ? new FakePublishing({ builders: { '': CONTAINER } }) : undefined;
  const launch = new FakeLaunch({ docker: { builder: CONTAINER, cases: [WITH_DIGESTS] }, podman: {} });
  const libkrun = task === 'vm/build-libkrun' ? new FakeLibkrun() : undefined;
  const checkout = libkrun ?? publishing?.checkout ?? launch;
  const { root, tools: fakes } = checkout;
  if (libkrun === undefined) checkout.setCargo(CARGO);
  else libkrun.setLibkrunCargo(CARGO.before);
  launch.addRuntime();
  addWorkloads(launch.root);
  addDeb(launch);
  // The fake gateway is for a newer glibc than that of releases.
  if (!task.startsWith('gateway')) rmSync(join(checkout.apps, 'openshell-gateway'), { force: true });
  for (const name of ['gateway', 'ci']) {
    writeFileSync(
      join(checkout === libkrun ? launch.root : root, `deploy/docker/Dockerfile.${name}`),
      'FROM scratch\n',
    );
  }
  const directory = dirname(fakes.directory);
  const user = join(directory, 'user');
  for (const name of ['tmp', 'github']) mkdirSync(join(user, name), { recursive: true });
  const own = {
    ...AMD64,
    OPENSHELL_ROOT: root,
    XDG_CONFIG_HOME: join(user, 'config'),
    TMPDIR: join(user, 'tmp'),
    OPENSHELL_VM_DRIVER_STATE_ROOT: join(user, 'vm'),
    DOCKER_BUILD_CACHE_DIR: join(user, 'cache'),
    GITHUB_ENV: join(user, 'github/env'),
    ZIG: fakeZig(join(fakes.directory, 'zig')),
    ...(task === 'package-deb' ? debEnv(launch.root) : {}),
    ...CASES[task]?.env,
  };
  return {
    directory,
    cwd: directory,
    env: libkrun?.libkrunEnv(own) ?? publishing?.env(own) ?? (await launch.launchEnv(own)),
  };
}

/** What the fakes, cargo and the gateway write. */
const OTHERS =
  /\/tls\/|\/fakes\/|\/apps\/|\/target\/(?!openshell-version).*\/(debug|release)\/|\/(debug|release)\/[^/]*$|\/libkrun-build\/libkrun(fw)?\//;

/** The files that a task writes: those that its dry run names, and those that a run leaves. */
async function filesOf(place: Place, task: string): Promise<string[]> {
  const { args, isPlanned = true } = CASES[task] as Case;
  const temporary = place.env.TMPDIR ?? '';
  const dry = isPlanned ? await runApart(place, task, [...args, '--dry-run']) : undefined;
  expect(dry?.written.filter((path) => !OTHERS.test(path)) ?? [], 'a dry run writes nothing').toEqual([]);
  const named = [...(dry?.stdout.matchAll(/^# (writes|creates|stages|compresses it to) (\/[^\s:]+)/gm) ?? [])].map(
    ([, verb, path = '']) =>
      verb !== 'creates' ? path : join(path.startsWith(`${temporary}/`) ? temporary : path, 'x'),
  );
  const run = await runApart(place, task, args);
  expect(run.status, run.stderr).toBe(0);
  const written = run.written.filter((path) => !OTHERS.test(path));
  const directories = named.map((path) => `${dirname(path)}/`);
  const unnamed = written.filter(
    (path) => isPlanned && !/\.lock(\.db)?$/.test(path) && !directories.some((one) => path.startsWith(one)),
  );
  expect(unnamed, 'written, and no line "# writes PATH" or "# creates PATH" of the dry run names it').toEqual([]);
  return [...new Set([...named, ...written])].sort();
}

/** One line that says where and why, soon, and no stack. */
function expectSentence(result: TaskResult, file: string): void {
  const { status, stderr } = result;
  expect(stderr).not.toMatch(/\n {4}at |bug of the tasks|node:internal/);
  const errors = stderr.match(/^error: .*$/gm) ?? [];
  expect(
    errors.filter((line) => line.includes(dirname(file))),
    stderr,
  ).not.toEqual([]);
  expect(errors, 'each once').toEqual([...new Set(errors)]);
  expect([1, 2]).toContain(status);
}

interface Run {
  readonly name: string;
  readonly file: string;
}

function runsOf(paths: readonly string[]): Run[] {
  const seen = new Set<string>();
  return paths.flatMap((file) => {
    const isNew = !seen.has(dirname(file));
    seen.add(dirname(file));
    const isLock = /\.lock(\.db)?$/.test(file);
    return Object.entries(REFUSALS)
      .filter(([, { isOfFile }]) => (isOfFile === true ? !isLock && !file.endsWith('/x') : isNew))
      .map(([name]) => ({ name, file }));
  });
}

/** Runs them, a few at once, and gives what was wrong with which. */
async function faultsOf(runs: readonly Run[], check: (run: Run) => Promise<void>): Promise<string[]> {
  const faults: string[] = [];
  const rest = runs.values();
  const work = async () => {
    for (const run of rest) {
      await check(run).catch((error: Error) => faults.push(`${run.file}: ${run.name}: ${error.message}`));
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return faults;
}

describe('a file system that refuses', { ...tools.options, timeout: 120_000 }, () => {
  test.each(Object.keys(CASES))('F15: %s', async (task) => {
    const place = await placeOf(task);
    const { args } = CASES[task] as Case;
    const runs = runsOf(await filesOf(place, task));
    expect(runs.length).toBeGreaterThan(5);
    const before = await faultsOf(runs, async ({ name, file }) => {
      const script = refusalScript(name, file, dirname(file));
      const { isUnprivileged = false } = REFUSALS[name] ?? {};
      const result = await runApart(place, task, args, { before: script, isUnprivileged });
      expectSentence(result, file);
      expect(result.status, `check it first with verifyPlaces: ${result.stderr}`).toBe(2);
      expect(result.stderr, 'nothing has been started').not.toMatch(/^==> /m);
    });
    expect(before).toEqual([]);
    if (task === 'setup-zig-cc-wrapper') return;
    const late = runs.filter(
      ({ name, file }, index) =>
        WHILE_COMPILING.includes(name) &&
        runs.findIndex((one) => one.name === name && dirname(one.file) === dirname(file)) === index,
    );
    const during = await faultsOf(late, async ({ name, file }) => {
      const env = { FAKE_REFUSAL: refusalScript(name, file, dirname(file)) };
      const result = await runApart(place, task, args, { env });
      if (result.status !== 0) expectSentence(result, file);
    });
    expect(during).toEqual([]);
  });

  test.each([
    ['F15: a gateway.db that is a directory', 'rm -rf "$DB"; mkdir -p "$DB"'],
    ['F15: a gateway.db that leads to nothing', 'ln -s /nowhere "$DB"'],
    ['F15: a gateway.db that is a link to another file', ': > "$DB.other"; ln -s gateway.db.other "$DB"'],
  ])('%s', async (_, script) => {
    const place = await placeOf('gateway-docker');
    const state = join(place.directory, 'checkout/.cache/gateway-docker');
    const before = `mkdir -p ${state}; DB=${state}/gateway.db; ${script}`;
    const result = await runApart(place, 'gateway-docker', [], { before });
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^error: \/\S+\/gateway\.db cannot be written: it is [^\n]*\n$/m);
    expect(result.stderr).not.toMatch(/^==> /m);
  });

  test('F15: a launch without Dockerfile.supervisor needs no TMPDIR, and says so before the build', async () => {
    const place = await placeOf('gateway-podman');
    const temporary = `${place.env.TMPDIR}`;
    const full = refusalScript('without inodes', join(temporary, 'x'), temporary);
    const before = `${full}; rm ${place.directory}/checkout/deploy/docker/Dockerfile.supervisor`;
    const result = await runApart(place, 'gateway-podman', [], { before });
    expect(result.status).toBe(2);
    expect(result.stderr.match(/^error: .*$/gm)).toEqual([
      expect.stringMatching(/^error: \S+\/Dockerfile\.supervisor: it does not exist/),
    ]);
    expect(result.stderr).not.toMatch(/^==> /m);
  });

  test('F15: a publish with a TMPDIR without inodes says so before the compile', async () => {
    const place = await placeOf('docker-publish-multiarch');
    const temporary = `${place.env.TMPDIR}`;
    const before = refusalScript('without inodes', join(temporary, 'x'), temporary);
    const result = await runApart(place, 'docker-publish-multiarch', [], { before });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/^error: \S+\/tmp cannot be written: no more files fit on the file system/m);
    expect(result.stderr).not.toMatch(/^==> \S+ for/m);
  });

  test.each([
    ['stage', ['CARGO_TARGET_DIR']],
    ['docker-build-image', ['DOCKER_BUILD_CACHE_DIR']],
    ['docker-publish-multiarch', ['DOCKER_BUILD_CACHE_DIR', 'TMPDIR']],
    ['gateway-docker', ['OPENSHELL_GATEWAY_STATE_DIR', 'XDG_CONFIG_HOME', 'CARGO_TARGET_DIR']],
    ['gateway-podman', ['OPENSHELL_GATEWAY_STATE_DIR', 'XDG_CONFIG_HOME']],
    ['gateway-vm', ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR', 'OPENSHELL_VM_DRIVER_STATE_DIR']],
    ['vm/build-supervisor-bundle', ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR']],
    ['vm/vm-setup', ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR']],
    ['vm/compress-vm-runtime', ['OPENSHELL_VM_RUNTIME_COMPRESSED_DIR']],
    ['helm-k3s-local', ['HELM_K3S_KUBECONFIG']],
    ['setup-zig-cc-wrapper', ['GITHUB_ENV']],
  ])('F15: %s with a name that is too long in %j', async (task, names) => {
    const place = await placeOf(task);
    const runs = names.flatMap((name) => ['x'.repeat(300), 'y/'.repeat(2100)].map((path) => ({ name, file: path })));
    const check = async ({ name, file }: Run) => {
      const env = { [name]: join(place.directory, file) };
      const result = await runApart(place, task, (CASES[task] as Case).args, { env });
      expectSentence(result, file.slice(0, 60).concat('/x'));
      expect(result.status, result.stderr).toBe(2);
      expect(result.stderr).not.toMatch(/^==> \S+ for/m);
    };
    expect(await faultsOf(runs, check)).toEqual([]);
  });

  test.each([
    ['docker-build-image', ['supervisor']],
    ['docker-publish-multiarch', []],
  ])('F15b: %s with a cache below /proc ends at once', async (task, args) => {
    const place = await placeOf(task);
    const env = { DOCKER_BUILD_CACHE_DIR: '/proc/nope' };
    const result = await runApart(place, task, args, { env });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: \/proc\/nope\/images\/\w+ cannot be written because of \/proc: it is the system's, /m,
    );
    expect(result.stderr).not.toMatch(/^==> \S+ for/m);
  });

  test.each(['stage', 'gateway-docker'])(
    "F2: %s: cargo's own failure and status, on a file system that it has filled",
    async (task) => {
      const place = await placeOf(task);
      const { args, env: own } = CASES[task] as Case;
      const [state, build] = ['.cache/gateway-docker', 'deploy/docker/.build'].map((path) =>
        join(place.directory, 'checkout', path),
      );
      const before = [state, build]
        .map((at) => `mkdir -p -m 700 ${at}; mount -t tmpfs -o size=24m,mode=700 none ${at}`)
        .join('; ');
      const fill = [state, build].map((at) => `/usr/bin/head -c 99m /dev/zero > ${at}/full`).join('; ');
      const env = { ...own, FAKE_REFUSAL: `${fill}; echo 'error: no space' >&2; exit 101` };
      const result = await runApart(place, task, args, { before, env });
      expect(result.status, result.stderr).toBe(101);
      expect(result.stderr).toMatch(/^error: cargo [^\n]* failed with status 101 in [^\n]*\n$/m);
      expect(result.stderr).not.toMatch(/\n {4}at |bug of the tasks/);
    },
  );
});
