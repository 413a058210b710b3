// SPDX-License-Identifier: Apache-2.0

/**
 * Every environment variable that is an interface of the tasks: its kind, meaning and default. Reading (`env.ts`),
 * `--help` and the tables of the README come from here. What belongs to the system (`HOME`, `PATH`, `NO_COLOR`) is not here.
 */

export interface Variable {
  /** `count` is a whole number, `path` is relative to the directory that the task was started in. */
  readonly kind: 'text' | 'path' | 'boolean' | 'count' | 'choice';
  /** A phrase for `--help` and the README. */
  readonly meaning: string;
  /** The value where the variable is unset or empty. */
  readonly default?: string | number | boolean;
  /** What decides where it is unset and no constant does, for users. */
  readonly otherwise?: string;
  /** The values of a `choice`. */
  readonly choices?: readonly string[];
  /** The least `count`. */
  readonly min?: number;
  /** The table of the README that it stands in. */
  readonly table: 'gateways' | 'builds';
}

const text = { kind: 'text' } as const;
const path = { kind: 'path' } as const;
const boolean = { kind: 'boolean' } as const;
const count = { kind: 'count', min: 1 } as const;
const gateways = { table: 'gateways' } as const;
const builds = { table: 'builds' } as const;

/** The variables by their name, in the order of the README. */
export const VARIABLES = {
  OPENSHELL_DRIVERS: {
    ...text,
    ...gateways,
    meaning: 'the driver, where --driver is not given',
    otherwise: 'what fits',
  },
  KUBERNETES_SERVICE_HOST: { ...text, ...gateways, meaning: 'set in a cluster: the driver is kubernetes' },
  OPENSHELL_SERVER_PORT: { ...text, ...gateways, meaning: 'port', otherwise: '18080; vm 18081; kubernetes 8080' },
  OPENSHELL_BIND_ADDRESS: {
    ...text,
    ...gateways,
    meaning: 'IP address to listen on',
    otherwise: '127.0.0.1; podman on macOS ::1',
  },
  OPENSHELL_GATEWAY_NAME: { ...text, ...gateways, meaning: 'name in the CLI', otherwise: '<driver>-dev' },
  OPENSHELL_DOCKER_GATEWAY_NAME: { ...text, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_NAME' },
  OPENSHELL_PODMAN_GATEWAY_NAME: { ...text, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_NAME' },
  OPENSHELL_VM_GATEWAY_NAME: { ...text, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_NAME' },
  OPENSHELL_GATEWAY_STATE_DIR: {
    ...path,
    ...gateways,
    meaning: 'state directory, a real directory of yours with mode 0700',
    otherwise: '.cache/gateway-<driver>',
  },
  OPENSHELL_DOCKER_GATEWAY_STATE_DIR: { ...path, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_STATE_DIR' },
  OPENSHELL_PODMAN_GATEWAY_STATE_DIR: { ...path, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_STATE_DIR' },
  OPENSHELL_VM_GATEWAY_STATE_DIR: { ...path, ...gateways, meaning: 'wins over OPENSHELL_GATEWAY_STATE_DIR' },
  OPENSHELL_SUPERVISOR_PROFILE: {
    ...gateways,
    kind: 'choice',
    choices: ['dev', 'release'],
    meaning: 'dev is built with the gateway, release is the staged build',
    otherwise: 'dev on Linux for its own architecture, else release',
  },
  OPENSHELL_SUPERVISOR_IMAGE: {
    ...text,
    ...gateways,
    meaning: 'an image to use as it is',
    otherwise: 'openshell/supervisor:dev is built',
  },
  OPENSHELL_SANDBOX_IMAGE: {
    ...text,
    ...gateways,
    meaning: 'image of sandboxes',
    default: 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest',
  },
  COMMUNITY_SANDBOX_IMAGE: { ...text, ...gateways, meaning: 'image of sandboxes, after OPENSHELL_SANDBOX_IMAGE' },
  OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: {
    ...text,
    ...gateways,
    meaning: 'Always, IfNotPresent or Never, in any case; podman also Newer',
    default: 'IfNotPresent',
  },
  OPENSHELL_SANDBOX_NAMESPACE: { ...text, ...gateways, meaning: 'namespace of sandboxes', otherwise: '<driver>-dev' },
  OPENSHELL_SANDBOX_HTTPS_PROXY: {
    ...text,
    ...gateways,
    meaning: 'proxy of sandboxes; written through even when empty, so that the gateway refuses a mistake',
  },
  OPENSHELL_SANDBOX_NO_PROXY: { ...text, ...gateways, meaning: 'hosts that need no proxy; written through like it' },
  OPENSHELL_SANDBOX_PROXY_AUTH_FILE: {
    ...text,
    ...gateways,
    meaning: 'credentials of the proxy; written through like it',
  },
  OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE: {
    ...text,
    ...gateways,
    meaning: 'true or false; anything else is refused',
  },
  OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME: {
    ...text,
    ...gateways,
    meaning: 'true or false; anything else is refused',
  },
  OPENSHELL_GRPC_ENDPOINT: {
    ...text,
    ...gateways,
    meaning: 'URL under which sandboxes reach the gateway',
    otherwise: "the driver's",
  },
  OPENSHELL_LOG_LEVEL: { ...text, ...gateways, meaning: 'log level of the gateway', default: 'info' },
  OPENSHELL_DISABLE_TLS: {
    ...boolean,
    ...gateways,
    meaning: 'local gateways serve plaintext: false is refused',
    default: true,
  },
  OPENSHELL_VM_BOOTSTRAP_IMAGE: {
    ...text,
    ...gateways,
    meaning: 'image that a VM starts from',
    otherwise: "the driver's",
  },
  OPENSHELL_VM_HOST_GATEWAY: {
    ...text,
    ...gateways,
    meaning: "this machine's name in a VM",
    default: 'host.containers.internal',
  },
  OPENSHELL_DRIVER_DIR: {
    ...path,
    ...gateways,
    meaning: 'where the gateway looks for the VM driver',
    otherwise: 'where it is built',
  },
  OPENSHELL_VM_DRIVER_STATE_DIR: {
    ...path,
    ...gateways,
    meaning: "the VM driver's state: sandbox disks and its socket",
    otherwise: 'openshell-vm-driver-<user>-<name> below the root',
  },
  OPENSHELL_VM_DRIVER_STATE_ROOT: { ...path, ...gateways, meaning: 'the directory above that state', default: '/tmp' },
  OPENSHELL_VM_GPU: { ...boolean, ...gateways, meaning: 'as --gpu', default: false },
  OPENSHELL_VM_GPU_MEM_MIB: { ...count, ...gateways, meaning: 'as --gpu-mem-mib', otherwise: '8192' },
  OPENSHELL_VM_GPU_VCPUS: { ...count, ...gateways, meaning: 'as --gpu-vcpus', otherwise: '4' },
  OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: {
    ...path,
    ...gateways,
    meaning: 'directory of what the VM driver embeds',
    otherwise: 'target/vm-runtime-compressed',
  },
  GUEST_ARCH: {
    ...gateways,
    kind: 'choice',
    choices: ['aarch64', 'arm64', 'x86_64', 'amd64'],
    meaning: "the VM guest's machine, where --arch is not given",
    otherwise: "this machine's",
  },
  ANTHROPIC_API_KEY: { ...text, ...gateways, meaning: 'registers the provider anthropic; never an argument' },
  usage_command: {
    ...text,
    ...gateways,
    meaning: 'the command, quoted for a shell, where no argument is given (mise sets it)',
  },

  OPENSHELL_ROOT: {
    ...path,
    ...builds,
    meaning: 'the checkout to work on',
    otherwise: 'where the suite lives, else the nearest one above',
  },
  EXTRA_CARGO_FEATURES: {
    ...text,
    ...builds,
    meaning: 'features, separated by blanks or commas, for the components that declare them',
  },
  CARGO_TARGET_DIR: { ...path, ...builds, meaning: "cargo's own", otherwise: "cargo's configuration, else target" },
  CARGO_BUILD_JOBS: { ...text, ...builds, meaning: "cargo's own" },
  RUSTFLAGS: { ...text, ...builds, meaning: "cargo's own" },
  CARGO_ENCODED_RUSTFLAGS: { ...text, ...builds, meaning: "cargo's own" },
  SUPERVISOR_LIBC: {
    ...builds,
    kind: 'choice',
    choices: ['musl', 'glibc-static'],
    meaning: 'C library of release supervisors; glibc-static only natively',
    otherwise: "musl; the VM's supervisor is dynamic",
  },
  OPENSHELL_CARGO_VERSION: {
    ...text,
    ...builds,
    meaning: 'version to build under; the checkout is not touched',
    otherwise: "the workspace's",
  },
  PREBUILT_ARCH: {
    ...text,
    ...builds,
    meaning: 'one architecture, x86_64, amd64, aarch64 or arm64; wins over DOCKER_PLATFORM',
  },
  DOCKER_PLATFORM: {
    ...text,
    ...builds,
    meaning: 'comma list of linux/amd64 and linux/arm64',
    otherwise: "for staging this machine's, for images the engine's own",
  },
  CONTAINER_ENGINE: { ...text, ...builds, meaning: 'docker or podman', otherwise: 'what responds, podman first' },
  CONTAINER_ENGINE_TARGET: {
    ...text,
    ...builds,
    meaning: 'local-k8s-cluster: the engine of the kube context (k3d-*, kind-*)',
  },
  OPENSHELL_E2E_DRIVER: { ...text, ...builds, meaning: 'docker or podman: the engine of an end-to-end run' },
  KIND_EXPERIMENTAL_PROVIDER: { ...text, ...builds, meaning: "docker or podman: the engine of kind's clusters" },
  CONTAINER_ENGINE_QUIET: {
    ...boolean,
    ...builds,
    meaning: 'do not say which engine was chosen and why',
    default: false,
  },
  IMAGE_TAG: { ...text, ...builds, meaning: 'tag; for a publish the main one', default: 'dev' },
  IMAGE_REGISTRY: {
    ...text,
    ...builds,
    meaning: 'registry and path, ghcr.io/org, 127.0.0.1:5000',
    otherwise: 'the local name openshell',
  },
  DOCKER_PUSH: { ...boolean, ...builds, meaning: 'push what is built', default: false },
  DOCKER_OUTPUT: { ...text, ...builds, meaning: 'an --output value, type=oci,dest=out.tar' },
  DOCKER_BUILDER: {
    ...text,
    ...builds,
    meaning: 'a buildx builder that exists; a publish creates one that does not',
    otherwise: 'the one chosen with docker buildx use; for a publish else multiarch',
  },
  DOCKER_BUILD_CACHE_DIR: {
    ...path,
    ...builds,
    meaning: 'build cache of docker-container builders, a directory for each image',
    otherwise: '.cache/buildkit',
  },
  PREBUILT_AUTO_STAGE: {
    ...boolean,
    ...builds,
    meaning: 'whether the binaries are compiled and staged first; else staged ones are verified',
    default: true,
  },
  CI: { ...boolean, ...builds, meaning: 'as PREBUILT_AUTO_STAGE=0, and no local cache', default: false },
  MISE_GITHUB_TOKEN: {
    ...text,
    ...builds,
    meaning: 'token for downloads in the build, which gets it as the secret MISE_GITHUB_TOKEN',
  },
  GITHUB_TOKEN: { ...text, ...builds, meaning: 'the same, after MISE_GITHUB_TOKEN' },
  DOCKER_REGISTRY: {
    ...text,
    ...builds,
    meaning: 'registry and path to publish to, ghcr.io/org',
    otherwise: 'required',
  },
  DOCKER_PLATFORMS: {
    ...text,
    ...builds,
    meaning: 'comma list of linux/amd64 and linux/arm64',
    default: 'linux/amd64,linux/arm64',
  },
  EXTRA_DOCKER_TAGS: { ...text, ...builds, meaning: 'more tags, separated by commas or blanks' },
  TAG_LATEST: { ...boolean, ...builds, meaning: 'also set the tag latest', default: false },
  SOURCE_DATE_EPOCH: {
    ...builds,
    kind: 'count',
    min: 0,
    meaning: 'the time that published images bear, in seconds since 1970',
    default: 0,
  },
  ZIG: { ...path, ...builds, meaning: 'path of zig, for C compilers', otherwise: 'from PATH, else mise' },
  GITHUB_ENV: { ...path, ...builds, meaning: 'file that the variables are appended to; nothing is printed then' },
  OPENSHELL_BUILD_NOFILE_GUARD: {
    ...text,
    ...builds,
    meaning: 'auto, on or off: raising the open-file limit for what a task starts',
    default: 'auto',
  },
  OPENSHELL_BUILD_NOFILE_LIMIT: { ...count, ...builds, meaning: 'open files to raise to', otherwise: '8192' },
  OPENSHELL_VM_BUILD_NOFILE_LIMIT: { ...count, ...builds, meaning: 'old name of OPENSHELL_BUILD_NOFILE_LIMIT' },
} as const satisfies Readonly<Record<string, Variable>>;

export type VariableName = keyof typeof VARIABLES;

const GUARD = [
  'OPENSHELL_BUILD_NOFILE_GUARD',
  'OPENSHELL_BUILD_NOFILE_LIMIT',
  'OPENSHELL_VM_BUILD_NOFILE_LIMIT',
] as const;

/** What tasks of one kind read, for their declarations. */
export const READS = {
  /** Every task that starts programs. */
  guard: GUARD,
  /** Every task that compiles release binaries. */
  release: [
    ...['OPENSHELL_ROOT', 'EXTRA_CARGO_FEATURES', 'CARGO_TARGET_DIR', 'CARGO_BUILD_JOBS', 'SUPERVISOR_LIBC'],
    ...['OPENSHELL_CARGO_VERSION', 'RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS', 'ZIG', ...GUARD],
  ],
  /** Every task that chooses a container engine. */
  engine: [
    ...['CONTAINER_ENGINE', 'CONTAINER_ENGINE_TARGET', 'OPENSHELL_E2E_DRIVER', 'KIND_EXPERIMENTAL_PROVIDER'],
    'CONTAINER_ENGINE_QUIET',
  ],
} as const satisfies Record<string, readonly VariableName[]>;
