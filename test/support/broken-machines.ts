// SPDX-License-Identifier: Apache-2.0

/** Machines on which one thing is broken, and one on which nothing is; all tools are fakes. */

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { contextOf, type FakeEngine } from './fake-engine.ts';
import { FakeLaunch } from './fake-launch.ts';
import type { TaskOptions } from './run-task.ts';

export const IMAGES = ['build:docker:supervisor', 'build:docker:gateway'];
const GATEWAYS = ['gateway', 'gateway:docker'];
const ALL = ['gateway', 'gateway:docker', 'gateway:podman', 'gateway:vm', ...IMAGES, 'build:docker:prebuilt'];

/** A checkout in which every task can run, with docker alone. */
export function wellLaunch(docker: FakeEngine = {}): FakeLaunch {
  const launch = new FakeLaunch({ docker });
  launch.addRuntime();
  writeFileSync(join(launch.root, 'deploy/docker/Dockerfile.gateway'), 'FROM scratch\n');
  return launch;
}

/** What is broken, which row says so and how to fix it, and which tasks cannot run. */
export interface Broken {
  readonly make?: () => FakeLaunch;
  readonly break?: (launch: FakeLaunch) => unknown;
  readonly env?: Readonly<Record<string, string>>;
  readonly options?: Partial<TaskOptions>;
  readonly row: string;
  readonly text: RegExp;
  /** Besides gateway:podman, which has no podman. */
  readonly hinders: readonly string[];
  /** Rows that are bad for the same reason. */
  readonly also?: readonly string[];
}

const withoutTool =
  (...names: string[]) =>
  (launch: FakeLaunch) => {
    for (const name of names) rmSync(join(launch.tools.bin, name));
  };
const SOCKET = '/nonexistent/docker.sock';

export const BROKEN: Readonly<Record<string, Broken>> = {
  'no cargo': {
    break: withoutTool('cargo'),
    row: 'cargo',
    text: /^cargo is not on PATH .*install Rust \(https:\/\/rustup.rs\)/,
    hinders: ALL,
  },
  'no rustc': {
    break: withoutTool('rustc'),
    row: 'cargo',
    text: /^cargo finds no rustc; install Rust/,
    hinders: ALL,
  },
  'no zig at all': {
    break: (launch) => {
      withoutTool('zig')(launch);
      launch.tools.add('cargo-zigbuild', [
        { args: ['--version'], script: 'echo cargo-zigbuild 0.22.3' },
        { args: ['zig', 'ar', '--', '--version'], script: 'echo no zig here >&2; exit 1' },
      ]);
    },
    row: 'zig',
    text: /^cargo-zigbuild has no zig \(no zig here\); install it \(mise install zig, or pip install ziglang\)/,
    hinders: ['gateway:vm', ...IMAGES, 'build:docker:prebuilt'],
  },
  'a ZIG that is no program': {
    env: { ZIG: '/nowhere/zig' },
    row: 'zig',
    text: /^ZIG is '\/nowhere\/zig', which is not an executable program; set it/,
    hinders: ALL,
  },
  'a target missing': {
    break: (launch) => launch.removeTarget('x86_64-unknown-linux-musl'),
    row: 'Rust target',
    text: /^x86_64-unknown-linux-musl is missing, .*; run: rustup target add x86_64-unknown-linux-musl$/,
    hinders: [],
  },
  'a wrapper that is not there': {
    env: { RUSTC_WRAPPER: 'sccache' },
    row: 'compiler wrapper',
    text: /^RUSTC_WRAPPER is 'sccache', which is not an executable program; install it, .*RUSTC_WRAPPER=$/,
    hinders: ALL,
  },
  'a guard that refuses': {
    env: { OPENSHELL_BUILD_NOFILE_GUARD: 'on' },
    options: { through: ['/usr/bin/prlimit', '--nofile=512:512'] },
    row: 'open files',
    text: /^the hard limit of open files is 512, .*run: sudo prlimit --pid \$\$ --nofile=8192:8192/,
    hinders: ALL,
  },
  'docker down': {
    make: () => wellLaunch({ info: undefined, refusal: 'Cannot connect to the Docker daemon' }),
    row: 'docker',
    text: /^docker cannot carry a gateway .*Cannot connect to the Docker daemon; start Docker \(sudo systemctl start docker, or Docker Desktop\), or/,
    hinders: [...GATEWAYS, ...IMAGES],
    also: ['for gateways', 'for images'],
  },
  'docker behind a context': {
    make: () => wellLaunch({ cases: [{ args: ['context', 'inspect'], script: `echo '${contextOf('ssh://far')}'` }] }),
    row: 'docker',
    text: /leads to 'ssh:\/\/far', .*choose a context with a unix:\/\/ socket/,
    hinders: GATEWAYS,
    also: ['for gateways'],
  },
  'docker without its socket': {
    make: () => wellLaunch({ api: SOCKET }),
    row: 'docker',
    text: /the API of docker: '\/nonexistent\/docker.sock' does not exist; start Docker/,
    hinders: GATEWAYS,
    also: ['for gateways'],
  },
  'a broken builder': {
    make: () => wellLaunch({ builder: 'echo "Name: b"; echo "Driver: remote"; echo "Error: gone"' }),
    row: 'builder',
    text: /^the builder chosen with docker buildx use does not work: gone; choose another one/,
    hinders: IMAGES,
  },
  'a variable that contradicts': {
    env: { CONTAINER_ENGINE: 'lxc' },
    row: 'for images',
    text: /^CONTAINER_ENGINE is 'lxc'; allowed are docker, podman/,
    hinders: ['gateway', ...IMAGES],
    also: ['for gateways'],
  },
  'a state directory that is a link': {
    break: (launch) => {
      mkdirSync(dirname(launch.state('docker')), { recursive: true });
      symlinkSync('/tmp', launch.state('docker'));
    },
    row: 'docker state',
    text: /which is a link; allowed is a directory of your own; remove it or set another one$/,
    hinders: GATEWAYS,
  },
  'a misspelt variable': {
    env: { OPENSHELL_SEVER_PORT: '1' },
    row: 'names',
    text: /^OPENSHELL_SEVER_PORT .*meant for OPENSHELL_SERVER_PORT; run: unset OPENSHELL_SEVER_PORT$/,
    hinders: [],
  },
  'a misspelt variable in .env': {
    break: (launch) => writeFileSync(join(launch.root, '.env'), 'IMAGE_TAGS=x\nIMAGE_TAG=y\n'),
    row: 'names',
    text: /^IMAGE_TAGS .*meant for IMAGE_TAG; change it in \/.*\/\.env$/,
    hinders: [],
  },
  'a checkout that mise does not trust': {
    break: (launch) => launch.tools.add('mise', [{ args: ['env', '--json'], script: 'echo not trusted >&2; exit 1' }]),
    row: 'mise',
    text: /^mise does not trust the checkout; run: mise trust /,
    hinders: [],
  },
};
