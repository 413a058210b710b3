// SPDX-License-Identifier: Apache-2.0

/** The tasks that write, each in a place of its own over fake tools, for runs that are killed at any moment. */

import { createHash } from 'node:crypto';
import { type Dirent, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { buildElf } from './elf-builder.ts';
import { FakeAdoption } from './fake-adoption.ts';
import { FakeCluster, kubeconfigText } from './fake-cluster.ts';
import { FakeDeb, setBinaries } from './fake-deb.ts';
import { addEngine, addWorkloads, DOCKER_ARM_INFO, imageCheckout, WITH_DIGESTS } from './fake-engine.ts';
import { FakeLaunch } from './fake-launch.ts';
import { FakeLibkrun, FRAGMENT } from './fake-libkrun.ts';
import { FakePublishing } from './fake-publishing.ts';
import { FakeRuntime, runtimeContents } from './fake-runtime.ts';
import { FakeCheckout } from './fake-rust.ts';
import type { FakeTools } from './fake-tools.ts';
import { fakeZig } from './fake-zig.ts';
import { launcherOf, newLaunch, run } from './launchers.ts';
import { runTaskFile, type TaskOptions, type TaskResult } from './run-task.ts';

export interface KillScene {
  readonly tools: FakeTools;
  /** The status of a run that nothing disturbs. */
  readonly status: number;
  /** Where files of the task are. */
  readonly directories: readonly string[];
  run(options: Partial<TaskOptions>): Promise<TaskResult>;
  /** Makes the next run write something else. */
  setVersion(version: string): void;
}

type Names = 'docker' | 'podman';

const OTHER_MACHINE = { docker: { info: DOCKER_ARM_INFO } };

/** Each scene by the task that it runs. */
export const KILL_SCENES: Readonly<Record<string, () => KillScene | Promise<KillScene>>> = {
  stage: () => {
    const checkout = new FakeCheckout();
    return scene(checkout, 'stage', ['all'], { DOCKER_PLATFORM: 'linux/amd64,linux/arm64' });
  },
  'stage, stamped': () => scene(new FakeCheckout(), 'stage', ['supervisor'], { OPENSHELL_CARGO_VERSION: '1.2.3' }),
  'docker-build-image with docker': () => image('docker', 'docker-build-image', ['gateway']),
  'docker-build-image with podman': () => image('podman', 'docker-build-image', ['supervisor']),
  'docker-build-ci': () => image('docker', 'docker-build-ci', []),
  'docker-publish-multiarch with docker': () => publishing('docker'),
  'docker-publish-multiarch with podman': () => publishing('podman'),
  'gateway-docker': () => launching('docker'),
  'gateway-docker for another machine': () => launching('docker', new FakeLaunch(OTHER_MACHINE)),
  'gateway-podman': () => launching('podman'),
  'gateway-vm': () => launching('vm'),
  'gateway --driver k8s': () => launching('kubernetes'),
  'e2e-gpu-build-images': workloads,
  'vm/build-supervisor-bundle': () => scene(new FakeCheckout(), 'vm/build-supervisor-bundle', []),
  'vm/build-libkrun': () => {
    const checkout = new FakeLibkrun();
    const env = { TMPDIR: temporary(checkout) };
    return {
      tools: checkout.tools,
      status: 0,
      directories: [checkout.out, temporary(checkout)],
      run: (options) => checkout.build(env, [], options),
      setVersion: (version) => checkout.setFragment(`${FRAGMENT}CONFIG_VERSION="${version}"\n`),
    };
  },
  adopt: () => {
    const fake = new FakeAdoption();
    return {
      tools: fake.tools,
      status: 0,
      directories: [fake.root, dirname(fake.tasksFile)],
      run: (options) => fake.adopt([], options),
      setVersion: (version) => fake.setVersion(version),
    };
  },
  'vm/vm-setup': () => runtime('vm-setup', ['--force']),
  'vm/download-kernel-runtime': () => runtime('download-kernel-runtime', []),
  'vm/compress-vm-runtime': () => runtime('compress-vm-runtime', []),
  'vm/package-vm-runtime': () => runtime('package-vm-runtime', PACKAGE),
  'snap-gateway-wrapper': () => scene(new FakeCheckout(), 'snap-gateway-wrapper', ['--output', 'out/wrapper']),
  'helm-k3s-local': () => {
    const cluster = new FakeCluster();
    let text = '';
    return {
      tools: cluster.tools,
      status: 0,
      directories: [cluster.root],
      run: (options) => cluster.run(['create'], { FAKE_KUBECONFIG: text }, options),
      setVersion: (version) => {
        text = kubeconfigText('openshell-dev-some-branch', `https://${version}`);
      },
    };
  },
  'package-deb': () => {
    const fake = new FakeDeb();
    return {
      tools: fake.tools,
      status: 0,
      directories: [join(fake.root, 'artifacts')],
      run: (options) => fake.package({}, [], options),
      setVersion: (version) => setBinaries(fake.root, version.padEnd(300_000, version)),
    };
  },
  'setup-zig-cc-wrapper': () => {
    const checkout = new FakeCheckout();
    const target = 'x86_64-unknown-linux-gnu.2.28';
    const ZIG = join(fakeZig(join(checkout.root, 'tools')));
    return scene(checkout, 'setup-zig-cc-wrapper', [target, target, 'target/zig'], { ZIG });
  },
};

const PACKAGE = ['--platform', 'linux-x86_64', '--build-dir', 'target/libkrun-build', '--output', 'out/archive'];

/** A runtime that is published and built, in versions. */
async function runtime(task: string, args: readonly string[]): Promise<KillScene> {
  const fake = await FakeRuntime.start();
  const versions = new Map<string, ReturnType<typeof runtimeContents>>();
  const setVersion = (version: string) => {
    const contents = versions.get(version) ?? runtimeContents('linux-x86_64', version);
    versions.set(version, contents);
    fake.publish(contents);
    fake.addBuild({ 'libkrun.so': `krun ${version}`, 'libkrunfw.so.5': `krunfw ${version}` });
  };
  setVersion('first');
  const env = { TMPDIR: temporary(fake), SOURCE_DATE_EPOCH: '1700000000' };
  return {
    tools: fake.tools,
    status: 0,
    directories: [join(fake.root, 'target'), join(fake.root, 'out'), temporary(fake)],
    run: (options) => fake.run(task, args, env, options),
    setVersion,
  };
}

function scene(
  checkout: FakeCheckout,
  task: string,
  args: readonly string[],
  extra: Readonly<Record<string, string>> = {},
): KillScene {
  const env = checkout.env({ TMPDIR: temporary(checkout), ...extra });
  return {
    tools: checkout.tools,
    status: 0,
    directories: [checkout.root, temporary(checkout)],
    run: (options) => runTaskFile(task, args, { cwd: checkout.root, env, ...options }),
    setVersion: (version) => setSupervisor(checkout, version),
  };
}

function image(engine: Names, task: string, args: readonly string[]): KillScene {
  const checkout = imageCheckout();
  addEngine(checkout.tools, engine);
  return scene(checkout, task, args);
}

function workloads(): KillScene {
  const checkout = imageCheckout();
  addWorkloads(checkout.root);
  addEngine(checkout.tools, 'podman', { cases: [WITH_DIGESTS] });
  return {
    ...scene(checkout, 'e2e-gpu-build-images', []),
    setVersion: (version) => {
      writeFileSync(join(checkout.root, 'e2e/gpu/images/smoke-pass/workload.sh'), `echo ${version}\n`);
    },
  };
}

function publishing(engine: Names): KillScene {
  const fake = new FakePublishing({ engine });
  return {
    tools: fake.checkout.tools,
    status: 0,
    directories: [fake.checkout.root, fake.temporary],
    run: (options) => fake.publish({}, [], options),
    setVersion: (version) => setSupervisor(fake.checkout, version),
  };
}

function launching(driver: Parameters<typeof newLaunch>[0], launch = newLaunch(driver)): KillScene {
  const extra = { FAKE_GATEWAY: 'exit 7', TMPDIR: temporary(launch) };
  return {
    tools: launch.tools,
    status: 7,
    directories: [launch.root, launch.config, temporary(launch)],
    run: (options) => run(launch, driver, launcherOf(driver).args.length > 0 ? [] : ['--no-activate'], extra, options),
    setVersion: (version) => setSupervisor(launch, version),
  };
}

/** What both CPUs' cargo runs build for a component that has no program of its own. */
function setSupervisor(checkout: FakeCheckout, version: string): void {
  for (const [cpu, machine] of [
    ['x86_64', 62],
    ['aarch64', 183],
  ] as const) {
    checkout.setApp(cpu, Buffer.concat([buildElf({ machine }).bytes, Buffer.from(version.padEnd(300_000, version))]));
  }
}

function temporary(checkout: FakeCheckout): string {
  const directory = join(checkout.tools.directory, 'tmp');
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** The files of a scene that others read, each with a hash; what cargo itself writes is not among them. */
export function filesOf({ directories }: KillScene): Map<string, string> {
  const found = new Map<string, string>();
  for (const directory of directories) {
    if (!existsSync(directory)) continue;
    for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile() || isOthers(relative(directory, path), entry)) continue;
      found.set(path, createHash('sha256').update(readFileSync(path)).digest('hex'));
    }
  }
  return found;
}

/** Cargo's output, git's and make's, and what is there for one process only. */
function isOthers(path: string, { name }: Dirent): boolean {
  if (/(^|\/)(debug|release|libkrun|libkrunfw)\//.test(path) || name.startsWith('gateway.db')) return true;
  return /\.lock$|^\.kernel/.test(name);
}
