// SPDX-License-Identifier: Apache-2.0

/** What is measured: one record for each case. A new task gets its row by a record here. */

/** The names that the fake tool knows; a case gets those that it lists, and no others. */
export type FakeTool = 'cargo' | 'cargo-zigbuild' | 'cc' | 'docker' | 'podman' | 'rustc' | 'rustup' | 'mise' | 'zig';

export interface BenchCase {
  readonly name: string;
  /** Our task: a file of `tasks/`, without its ending. */
  readonly task: string;
  readonly args: readonly string[];
  /** The bash script that does the same, a path in its checkout, and its arguments; none where bash cannot do it. */
  readonly bash?: { readonly script: string; readonly args: readonly string[] };
  readonly tools: readonly FakeTool[];
  /** Variables for both ways. */
  readonly env?: Readonly<Record<string, string>>;
  /** Paths in the checkout that are removed before each run; without them a run finds what the last one left. */
  readonly removed?: readonly string[];
  /** Programs of which each needs the result of the one before: what remains when all else runs side by side. */
  readonly chain: number;
  readonly limits?: Limits;
}

/** What a case should keep to, beside `FLOOR_TIMES`. It is told whether it does, and nothing fails: machines are noisy. */
export interface Limits {
  /** Programs started, our own Node included: successful execve calls. */
  readonly programs?: number;
  /** Times the median of a bare `node -e 0` of the same run, started as mise does. */
  readonly timesNode?: number;
}

/** What every case should keep to: times the floor, which is Node, zx/core and the case's chain of programs. */
export const FLOOR_TIMES = 2.6;

/** Words that stand for a path: a static executable, and a dynamic one that glibc 2.28 is enough for. */
export const FILES = { static: 'STATIC_FILE', dynamic: 'DYNAMIC_FILE' } as const;

/** As mise gives them: without a zig on PATH cargo-zigbuild is asked whether it has one, which is two programs more. */
const RUST: readonly FakeTool[] = ['cargo', 'cargo-zigbuild', 'zig', 'rustc', 'rustup', 'mise'];
const STAGE = 'tasks/scripts/stage-prebuilt-binaries.sh';
const BUNDLE = 'tasks/scripts/vm/build-supervisor-bundle.sh';
const IMAGE = 'tasks/scripts/docker-build-image.sh';
/** Which of the machine's real engines answers must not matter. */
const DOCKER = { CONTAINER_ENGINE: 'docker' };
const ZIG_WORDS = ['x86_64-unknown-linux-gnu.2.28', 'x86_64-unknown-linux-gnu.2.28', 'target/zig-gnu-wrapper/amd64'];

/** The watcher that a launch leaves behind is bash and Node; it does not count. */
const WATCHER_PROGRAMS = 2;

/**
 * A launch up to the gateway, which ends at once; its port is one that hardly anybody uses.
 * @param chain with the start of the watcher, which the launch waits for
 */
function launchCase(
  name: string,
  task: string,
  engines: readonly FakeTool[],
  env: Readonly<Record<string, string>>,
  programs: number,
  chain: number,
): BenchCase {
  return {
    name: `gateway with ${name}`,
    task,
    args: [],
    bash: { script: `tasks/scripts/${task}.sh`, args: [] },
    tools: [...RUST, 'cc', ...engines],
    env: { OPENSHELL_SERVER_PORT: '48719', ...env },
    chain,
    limits: { programs: programs + WATCHER_PROGRAMS },
  };
}

export const CASES: readonly BenchCase[] = [
  {
    name: 'stage supervisor',
    task: 'stage',
    args: ['supervisor'],
    bash: { script: STAGE, args: ['supervisor'] },
    tools: RUST,
    chain: 2,
    limits: { programs: 14 },
  },
  {
    name: 'stage supervisor, nothing staged yet',
    task: 'stage',
    args: ['supervisor'],
    bash: { script: STAGE, args: ['supervisor'] },
    chain: 2,
    tools: RUST,
    removed: ['deploy/docker/.build'],
  },
  {
    name: 'stage gateway',
    task: 'stage',
    args: ['gateway'],
    bash: { script: STAGE, args: ['gateway'] },
    chain: 2,
    tools: RUST,
  },
  {
    name: 'vm/build-supervisor-bundle',
    task: 'vm/build-supervisor-bundle',
    args: [],
    bash: { script: BUNDLE, args: [] },
    tools: RUST,
    chain: 2,
    limits: { programs: 7 },
  },
  {
    name: 'vm/build-supervisor-bundle, nothing bundled yet',
    task: 'vm/build-supervisor-bundle',
    args: [],
    bash: { script: BUNDLE, args: [] },
    tools: RUST,
    removed: ['target/vm-runtime-compressed'],
    chain: 2,
    limits: { programs: 7 },
  },
  { name: 'vm/vm-setup, complete', task: 'vm/vm-setup', args: [], tools: [], chain: 0, limits: { programs: 3 } },
  { name: 'stage supervisor --dry-run', task: 'stage', args: ['supervisor', '--dry-run'], tools: RUST, chain: 1 },
  {
    name: 'image supervisor',
    task: 'docker-build-image',
    args: ['supervisor'],
    bash: { script: IMAGE, args: ['supervisor'] },
    tools: [...RUST, 'docker'],
    env: DOCKER,
    chain: 4,
    limits: { programs: 23 },
  },
  {
    name: 'image gateway',
    task: 'docker-build-image',
    args: ['gateway'],
    bash: { script: IMAGE, args: ['gateway'] },
    chain: 4,
    tools: [...RUST, 'docker'],
    env: DOCKER,
  },
  {
    name: 'publish, two platforms',
    task: 'docker-publish-multiarch',
    args: [],
    bash: { script: 'tasks/scripts/docker-publish-multiarch.sh', args: [] },
    tools: [...RUST, 'docker'],
    env: { ...DOCKER, DOCKER_REGISTRY: 'localhost:1/org' },
    // The registry of the fake docker: every run publishes something new.
    removed: ['.fake-registry'],
    chain: 14,
    limits: { programs: 61 },
  },
  { name: 'image CI', task: 'docker-build-ci', args: [], tools: ['docker'], env: DOCKER, chain: 3 },
  launchCase('docker', 'gateway-docker', ['docker'], {}, 13, 5),
  launchCase('docker, another architecture', 'gateway-docker', ['docker'], { FAKE_ARCH: 'aarch64' }, 31, 7),
  launchCase('podman', 'gateway-podman', ['podman'], {}, 29, 7),
  launchCase('vm', 'gateway-vm', [], {}, 11, 6),
  { name: 'gateway --help', task: 'gateway', args: ['--help'], tools: [], chain: 0, limits: { timesNode: 2 } },
  { name: 'stage --help', task: 'stage', args: ['--help'], tools: [], chain: 0, limits: { timesNode: 2 } },
  {
    name: 'verify-static-binary',
    task: 'verify-static-binary',
    args: [FILES.static],
    bash: { script: 'tasks/scripts/verify-static-binary.sh', args: [FILES.static] },
    chain: 0,
    tools: [],
  },
  {
    name: 'verify-glibc-symbols',
    task: 'verify-glibc-symbols',
    args: ['2.28', FILES.dynamic],
    bash: { script: 'tasks/scripts/verify-glibc-symbols.sh', args: ['2.28', FILES.dynamic] },
    chain: 0,
    tools: [],
  },
  {
    name: 'setup-zig-cc-wrapper',
    task: 'setup-zig-cc-wrapper',
    args: ZIG_WORDS,
    bash: { script: 'tasks/scripts/setup-zig-cc-wrapper.sh', args: ZIG_WORDS },
    chain: 0,
    tools: ['mise', 'zig'],
  },
];
