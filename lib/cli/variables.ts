// SPDX-License-Identifier: Apache-2.0

/**
 * Every environment variable that is an interface of the tasks: its kind, meaning and default. Reading (`env.ts`),
 * `--help` and the tables of `docs/variables.md` come from here.
 */

interface Details {
  /** The value where the variable is unset or empty. */
  readonly default?: string | number | boolean;
  /** What decides where it is unset and no constant does, for users. */
  readonly otherwise?: string;
  /** The least `count`; 1 where nothing is said. */
  readonly min?: number;
  readonly max?: number;
  /** A `boolean` of another system: any text that is not a false word is true. */
  readonly isAnyText?: true;
}

export interface Variable extends Details {
  /** `count` is a whole number, `path` is relative to the directory that the task was started in. */
  readonly kind: 'text' | 'path' | 'boolean' | 'count' | 'choice';
  /** A phrase for `--help` and the tables. */
  readonly meaning: string;
  readonly choices?: readonly string[];
}

const none = {} as const;

function declare<K extends Variable['kind']>(kind: K) {
  return <const D extends Details = typeof none>(meaning: string, details: D = none as D) => {
    return { kind, meaning, ...details };
  };
}

const [text, path, boolean, count] = [declare('text'), declare('path'), declare('boolean'), declare('count')];

function choice<const C extends readonly string[], const D extends Details = typeof none>(
  choices: C,
  meaning: string,
  details: D = none as D,
) {
  return { kind: 'choice', choices, meaning, ...details } as const;
}

/** What sandboxes run in where nothing else is said. */
const COMMUNITY_IMAGE = 'ghcr.io/nvidia/openshell-community/sandboxes/base:latest';

/** What the gateways, their supervisors and sandboxes read, in the order of the tables. */
export const GATEWAY_VARIABLES = {
  OPENSHELL_DRIVERS: text('the driver, where --driver is not given', { otherwise: 'what fits' }),
  KUBERNETES_SERVICE_HOST: text('set in a cluster: the driver is kubernetes'),
  OPENSHELL_SERVER_PORT: text('port', { otherwise: '18080; vm 18081; kubernetes 8080; the VM smoke test 8091' }),
  OPENSHELL_BIND_ADDRESS: text('IP address to listen on', { otherwise: '127.0.0.1; podman on macOS ::1' }),
  OPENSHELL_GATEWAY_NAME: text('name in the CLI', { otherwise: '<driver>-dev' }),
  OPENSHELL_DOCKER_GATEWAY_NAME: text('wins over OPENSHELL_GATEWAY_NAME'),
  OPENSHELL_PODMAN_GATEWAY_NAME: text('wins over OPENSHELL_GATEWAY_NAME'),
  OPENSHELL_VM_GATEWAY_NAME: text('wins over OPENSHELL_GATEWAY_NAME'),
  OPENSHELL_GATEWAY_STATE_DIR: path('state directory, a real directory of yours with mode 0700', {
    otherwise: '.cache/gateway-<driver>',
  }),
  OPENSHELL_DOCKER_GATEWAY_STATE_DIR: path('wins over OPENSHELL_GATEWAY_STATE_DIR'),
  OPENSHELL_PODMAN_GATEWAY_STATE_DIR: path('wins over OPENSHELL_GATEWAY_STATE_DIR'),
  OPENSHELL_VM_GATEWAY_STATE_DIR: path('wins over OPENSHELL_GATEWAY_STATE_DIR'),
  OPENSHELL_PODMAN_SOCKET: path("socket of podman's service, which the gateway gets", {
    otherwise: "where podman says, else podman/podman.sock below XDG_RUNTIME_DIR, or the machine's",
  }),
  OPENSHELL_SUPERVISOR_PROFILE: choice(['dev', 'release'], 'how the supervisor is built; release is as for staging', {
    default: 'dev',
  }),
  OPENSHELL_SUPERVISOR_IMAGE: text('an image to use as it is', { otherwise: 'openshell/supervisor:dev is built' }),
  OPENSHELL_SANDBOX_IMAGE: text('image of sandboxes', { default: COMMUNITY_IMAGE }),
  COMMUNITY_SANDBOX_IMAGE: text('image of sandboxes, after OPENSHELL_SANDBOX_IMAGE'),
  OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: text('Always, IfNotPresent or Never, in any case; podman also Newer', {
    default: 'IfNotPresent',
  }),
  OPENSHELL_SANDBOX_NAMESPACE: text('namespace of sandboxes', {
    otherwise: "docker the gateway's name; kubernetes kubernetes-dev",
  }),
  OPENSHELL_SANDBOX_HTTPS_PROXY: text('proxy of sandboxes; written through even when empty'),
  OPENSHELL_SANDBOX_NO_PROXY: text('hosts that need no proxy; written through like it'),
  OPENSHELL_SANDBOX_PROXY_AUTH_FILE: text('credentials of the proxy; written through like it'),
  OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE: text('true or false; anything else is refused'),
  OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME: text('true or false; anything else is refused'),
  OPENSHELL_GRPC_ENDPOINT: text('URL under which sandboxes reach the gateway', { otherwise: "the driver's" }),
  OPENSHELL_LOG_LEVEL: text('log level of the gateway', { default: 'info' }),
  OPENSHELL_DISABLE_TLS: boolean('local gateways serve plaintext: false is refused', { default: true }),
  OPENSHELL_VM_BOOTSTRAP_IMAGE: text('image that a VM starts from', { otherwise: "the driver's" }),
  OPENSHELL_VM_HOST_GATEWAY: text("this machine's name in a VM", { default: 'host.containers.internal' }),
  OPENSHELL_DRIVER_DIR: path('directory of a VM driver to use as it is', { otherwise: 'one is built' }),
  OPENSHELL_VM_DRIVER_STATE_DIR: path("the VM driver's state: sandbox disks and its socket", {
    otherwise: 'openshell-vm-driver-<user>-<name> below the root',
  }),
  OPENSHELL_VM_DRIVER_STATE_ROOT: path('the directory above that state', { default: '/tmp' }),
  OPENSHELL_VM_GPU: boolean('as --gpu', { default: false }),
  OPENSHELL_VM_GPU_MEM_MIB: count('as --gpu-mem-mib', { otherwise: '8192' }),
  OPENSHELL_VM_GPU_VCPUS: count('as --gpu-vcpus', { otherwise: '4' }),
  OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: path('what the VM driver embeds', { otherwise: 'target/vm-runtime-compressed' }),
  GUEST_ARCH: choice(['aarch64', 'arm64', 'x86_64', 'amd64'], 'as --arch', { otherwise: "this machine's" }),
  ANTHROPIC_API_KEY: text('registers the provider anthropic; never an argument'),
  usage_command: text('the command, quoted for a shell, where no argument is given (mise sets it)'),
} as const satisfies Readonly<Record<string, Variable>>;

/** What builds, images and publishing read, and all tasks. */
export const BUILD_VARIABLES = {
  OPENSHELL_ROOT: path('the checkout; its .env counts', { otherwise: 'where the suite lives, else the nearest above' }),
  EXTRA_CARGO_FEATURES: text('features, separated by blanks or commas, for the components that declare them'),
  CARGO_TARGET_DIR: path("cargo's own", { otherwise: "cargo's configuration, else target" }),
  CARGO_BUILD_JOBS: text("cargo's own"),
  RUSTFLAGS: text("cargo's own"),
  CARGO_ENCODED_RUSTFLAGS: text("cargo's own"),
  SUPERVISOR_LIBC: choice(['musl', 'glibc-static'], 'C library of release supervisors; glibc-static only natively', {
    otherwise: "musl; the VM's supervisor is dynamic",
  }),
  OPENSHELL_CARGO_VERSION: text('version to build; the checkout is not touched', { otherwise: "the workspace's" }),
  PREBUILT_ARCH: choice(['x86_64', 'amd64', 'aarch64', 'arm64'], 'one architecture; wins over DOCKER_PLATFORM'),
  DOCKER_PLATFORM: text('linux/amd64, linux/arm64 or both', { otherwise: "this machine's; for images the engine's" }),
  CONTAINER_ENGINE: text('the engine, docker or podman', { otherwise: 'what responds, podman first' }),
  CONTAINER_ENGINE_TARGET: text('with local-k8s-cluster, the engine is that of the kube context (k3d-*, kind-*)'),
  OPENSHELL_E2E_DRIVER: text('the engine of an end-to-end run, docker or podman'),
  KIND_EXPERIMENTAL_PROVIDER: text("the engine of kind's clusters, docker or podman"),
  CONTAINER_ENGINE_QUIET: boolean('do not say which engine was chosen and why', { default: false }),
  CONTAINER_RUNTIME: text('engine of Keycloak alone, before CONTAINER_ENGINE: docker or podman, also as a path'),
  KEYCLOAK_PORT: text('port of Keycloak on 127.0.0.1', { otherwise: '8180' }),
  GITHUB_ACTIONS: boolean("Keycloak shares the network of a job's container", { default: false, isAnyText: true }),
  IMAGE_TAG: text('tag; for a publish the main one; a clean-up keeps it', { default: 'dev' }),
  IMAGE_REGISTRY: text('registry and path, ghcr.io/org, 127.0.0.1:5000', { otherwise: 'the local name openshell' }),
  DOCKER_PUSH: boolean('push what is built', { default: false }),
  DOCKER_OUTPUT: text('an --output value, type=local,dest=out'),
  DOCKER_BUILDER: text('a buildx builder that exists; a publish creates one that does not', {
    otherwise: 'BUILDX_BUILDER, else the one chosen with docker buildx use; for a publish else multiarch',
  }),
  BUILDX_BUILDER: text("buildx's own: a builder, after DOCKER_BUILDER"),
  DOCKER_BUILD_CACHE_DIR: path('build cache of docker-container builders, by image', { otherwise: '.cache/buildkit' }),
  PREBUILT_AUTO_STAGE: boolean('whether to compile and stage first, or to verify what is staged', { default: true }),
  CI: boolean('all but a false word: as PREBUILT_AUTO_STAGE=0, no local cache', { default: false, isAnyText: true }),
  OPENSHELL_GPU_WORKLOAD_IMAGES: text('the workloads to build, a comma list', { otherwise: 'all of the checkout' }),
  OPENSHELL_GPU_WORKLOAD_IMAGE_TAG: text('one tag for all workload images', { otherwise: 'the fingerprint of each' }),
  OPENSHELL_SANDBOX_BASE_IMAGE: text('image that workload images are built on', { default: COMMUNITY_IMAGE }),
  CUDA_BUILD_IMAGE: text('image to compile CUDA workloads', { default: 'nvcr.io/nvidia/cuda:12.8.1-base-ubuntu22.04' }),
  CUDA_SAMPLES_REPO: text('URL of the samples of CUDA', { default: 'https://github.com/NVIDIA/cuda-samples' }),
  CUDA_SAMPLES_REF: text('their tag', { default: 'v12.8' }),
  MISE_GITHUB_TOKEN: text('token for downloads in the build, which gets it as the secret MISE_GITHUB_TOKEN'),
  GITHUB_TOKEN: text('the same, after MISE_GITHUB_TOKEN'),
  DOCKER_REGISTRY: text('registry and path to publish to, ghcr.io/org', { otherwise: 'required' }),
  DOCKER_PLATFORMS: text('comma list of linux/amd64 and linux/arm64', { default: 'linux/amd64,linux/arm64' }),
  EXTRA_DOCKER_TAGS: text('more tags, separated by commas or blanks'),
  TAG_LATEST: boolean('also set the tag latest', { default: false }),
  OPENSHELL_CLI_BINARY: path('the command-line program to be packaged', { otherwise: 'required' }),
  OPENSHELL_GATEWAY_BINARY: path('the gateway to be packaged', { otherwise: 'required' }),
  OPENSHELL_DRIVER_VM_BINARY: path('the VM driver to be packaged', { otherwise: 'required' }),
  OPENSHELL_DEB_VERSION: text('version of the package', { otherwise: 'required; for an installation 0.0.0-local' }),
  OPENSHELL_DEB_ARCH: choice(['amd64', 'arm64'], 'package architecture', { otherwise: "dpkg's, else this machine's" }),
  OPENSHELL_OUTPUT_DIR: path('directory for the package', { otherwise: 'artifacts in the checkout' }),
  SOURCE_DATE_EPOCH: count('time of published images, runtime archives and packages, in seconds since 1970', {
    otherwise: '0; for a runtime the time of its libkrun; for a package now',
    min: 0,
    max: 0o77777777777,
  }),
  // The versions of what the VM runtime is made of; see `lib/vm/versions.ts`.
  GVPROXY_VERSION: text('release of gvproxy', { otherwise: "pins.env's" }),
  UMOCI_VERSION: text('release of umoci', { otherwise: "pins.env's" }),
  LIBKRUNFW_REF: text('whole commit, tag or branch of libkrunfw to build', { otherwise: "pins.env's" }),
  LIBKRUN_REF: text('whole commit, tag or branch of libkrun to build; wins over pins.env', { default: 'v1.17.4' }),
  FROM_SOURCE: boolean('as --from-source', { default: false }),
  OPENSHELL_RELEASE_BASE_URL: text('mirror of the releases; no check is weakened', {
    default: 'https://github.com',
  }),
  OPENSHELL_DOWNLOAD_TIMEOUT: count('seconds without a byte until a download is retried', { default: 30, max: 86_400 }),
  VM_RUNTIME_RELEASE_TAG: text('release of the VM runtime', { default: 'vm-runtime' }),
  GITHUB_REPOSITORY: text('repository of that release', { default: 'NVIDIA/OpenShell' }),
  VM_RUNTIME_TARBALL: path('a release archive to take the runtime from', { otherwise: 'target/libkrun-build' }),
  VM_RUNTIME_PLATFORM: choice(['linux-x86_64', 'linux-aarch64', 'darwin-aarch64'], 'as --platform', {
    otherwise: "that of the archive's name, else this machine's",
  }),
  CUSTOM_PROVENANCE_DIR: path('directory with a libkrunfw and provenance.json of its own, after the build directory'),
  GITHUB_SHA: text("for the runtime's provenance.json", { default: 'unknown' }),
  GITHUB_RUN_ID: text("for the runtime's provenance.json", { default: 'unknown' }),
  HELM_K3S_CLUSTER_NAME: text('name of the k3d cluster', { otherwise: "openshell-dev-<the branch's last part>" }),
  HELM_K3S_KUBECONFIG: path('kubeconfig of the cluster', { otherwise: "KUBECONFIG, if one file, else the checkout's" }),
  KUBECONFIG: text("kubectl's own", { otherwise: "the checkout's kubeconfig" }),
  HELM_K3S_LB_HOST_PORT: count('port that leads to port 80 of the load balancer', { default: 8080, max: 65_535 }),
  HELM_K3S_PRELOAD_SANDBOX_IMAGE: text('image to import; set but empty for none', { default: COMMUNITY_IMAGE }),
  AGENT_SANDBOX_VERSION: text('release of agent-sandbox; v0.4.6 for the API v1alpha1', { default: 'v0.5.0' }),
  GITHUB_USERNAME: text('with GITHUB_PAT: the credentials of a new cluster for ghcr.io'),
  GITHUB_PAT: text('a personal access token, for GITHUB_USERNAME'),
  KEYCLOAK_IMAGE: text("Keycloak's image", { default: 'quay.io/keycloak/keycloak:24.0' }),
  KEYCLOAK_ADMIN_USER: text("Keycloak's administrator", { default: 'admin' }),
  KEYCLOAK_ADMIN_PASSWORD: text('the password of KEYCLOAK_ADMIN_USER', { default: 'admin' }),
  KEYCLOAK_SETUP_PORT: count('port of this machine in the printed commands', { default: 9090, max: 65_535 }),
  KEYCLOAK_HEALTH_TIMEOUT: count('seconds that Keycloak has to become ready', { default: 120, max: 86_400 }),
  LIBKRUN_MIN_CARGO_VERSION: text('the oldest cargo that builds libkrun', { default: '1.85' }),
  LIBCLANG_PATH: path('directory of libclang.so for libkrun', { otherwise: "llvm-config's, else the system's newest" }),
  LIBRARY_PATH: text("the linker's own, where libkrun is built on macOS"),
  DYLD_LIBRARY_PATH: text("the loader's own, where libkrun is built on macOS"),
  ZIG: path('path of zig, for C compilers', { otherwise: 'from PATH, else mise' }),
  GITHUB_ENV: path('file that the variables are appended to; nothing is printed then'),
  OPENSHELL_BUILD_NOFILE_GUARD: text('whether the open-file limit is raised: auto, on or off', { default: 'auto' }),
  OPENSHELL_BUILD_NOFILE_LIMIT: count('open files to raise to', { otherwise: '8192' }),
  OPENSHELL_VM_BUILD_NOFILE_LIMIT: count('old name of OPENSHELL_BUILD_NOFILE_LIMIT'),
} as const satisfies Readonly<Record<string, Variable>>;

export const VARIABLES = { ...GATEWAY_VARIABLES, ...BUILD_VARIABLES };

export type VariableName = keyof typeof VARIABLES;
export type VersionName = 'GVPROXY_VERSION' | 'UMOCI_VERSION' | 'LIBKRUNFW_REF' | 'LIBKRUN_REF';

const GUARD = [
  'OPENSHELL_BUILD_NOFILE_GUARD',
  'OPENSHELL_BUILD_NOFILE_LIMIT',
  'OPENSHELL_VM_BUILD_NOFILE_LIMIT',
] as const;
const COMPILE = [
  ...(['OPENSHELL_ROOT', 'EXTRA_CARGO_FEATURES', 'CARGO_TARGET_DIR', 'CARGO_BUILD_JOBS'] as const),
  ...(['RUSTFLAGS', 'CARGO_ENCODED_RUSTFLAGS', ...GUARD] as const),
] as const;
const SUPERVISOR = ['SUPERVISOR_LIBC', 'OPENSHELL_CARGO_VERSION', ...COMPILE] as const;
const RELEASES = [
  ...(['GVPROXY_VERSION', 'UMOCI_VERSION', 'OPENSHELL_RELEASE_BASE_URL', 'OPENSHELL_DOWNLOAD_TIMEOUT'] as const),
  ...(['VM_RUNTIME_RELEASE_TAG', 'GITHUB_REPOSITORY', 'OPENSHELL_VM_RUNTIME_COMPRESSED_DIR'] as const),
] as const;
const LIBKRUN = ['LIBKRUNFW_REF', 'LIBKRUN_REF', 'LIBKRUN_MIN_CARGO_VERSION', 'LIBCLANG_PATH'] as const;
const PROVENANCE = ['SOURCE_DATE_EPOCH', 'GITHUB_SHA', 'GITHUB_RUN_ID'] as const;

/** What tasks of one kind read, for their declarations. */
export const READS = {
  /** Every task that starts programs. */
  guard: GUARD,
  compile: COMPILE,
  /** Every task that compiles a release of the supervisor alone. */
  supervisor: SUPERVISOR,
  /** Every task that compiles release binaries; the gateway is linked by zig. */
  release: ['ZIG', ...SUPERVISOR],
  /** Every task that downloads parts of a VM runtime. */
  releases: RELEASES,
  provenance: PROVENANCE,
  /** The task that sets a VM runtime up, downloaded or built. */
  runtime: ['FROM_SOURCE', ...RELEASES, ...LIBKRUN, ...PROVENANCE],
  libkrun: LIBKRUN,
  deb: ['OPENSHELL_DEB_VERSION', 'OPENSHELL_DEB_ARCH', 'OPENSHELL_OUTPUT_DIR', 'SOURCE_DATE_EPOCH'],
  engine: [
    ...['CONTAINER_ENGINE', 'CONTAINER_ENGINE_TARGET', 'OPENSHELL_E2E_DRIVER', 'KIND_EXPERIMENTAL_PROVIDER'],
    'CONTAINER_ENGINE_QUIET',
  ],
} as const satisfies Record<string, readonly VariableName[]>;
