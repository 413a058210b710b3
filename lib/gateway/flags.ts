// SPDX-License-Identifier: Apache-2.0

/** The command lines of the launchers, as declarations: the source of their parsers and of their help. */

import type { Declaration } from '../cli/args.ts';
import type { DriverName } from './drivers/types.ts';

const FLAGS = {
  'dry-run': { help: 'Print the steps and start nothing but questions.' },
  activate: { help: "Make it the CLI's active gateway once it answers." },
  'no-activate': { help: "Leave the CLI's active gateway as it is." },
} as const;

const VM_FLAGS = {
  gpu: { help: 'Hand a GPU to sandboxes that ask for one (needs root).' },
  'gpu-mem-mib': { value: 'MIB', help: 'Memory of a sandbox with a GPU (default 8192).' },
  'gpu-vcpus': { value: 'N', help: 'Virtual CPUs of a sandbox with a GPU (default 4).' },
} as const;

const VARIABLES = {
  OPENSHELL_ROOT: 'The checkout to work on (default: where the suite lives, else the nearest one above).',
  OPENSHELL_BIND_ADDRESS: 'IP address to listen on (default 127.0.0.1; podman on macOS ::1).',
  OPENSHELL_SANDBOX_IMAGE: 'Image of sandboxes (default: the community base image).',
  OPENSHELL_GRPC_ENDPOINT: 'URL under which sandboxes reach the gateway.',
  OPENSHELL_LOG_LEVEL: 'Log level of the gateway (default info).',
  'CARGO_TARGET_DIR, CARGO_BUILD_JOBS, EXTRA_CARGO_FEATURES': 'For the build.',
} as const;

const SUPERVISOR_VARIABLES = {
  OPENSHELL_SUPERVISOR_PROFILE: 'dev (default on Linux for its own architecture) or release (the staged build).',
  SUPERVISOR_LIBC: 'musl (default) or glibc-static, for a release supervisor.',
} as const;

const POLICY = 'Always, IfNotPresent (default) or Never, in any case.';

function own(driver: string, port: number, name: string): Record<string, string> {
  const upper = driver.toUpperCase();
  return {
    OPENSHELL_SERVER_PORT: `Port (default ${port}).`,
    [`OPENSHELL_${upper}_GATEWAY_NAME, OPENSHELL_GATEWAY_NAME`]: `Name in the CLI (default ${name}).`,
    [`OPENSHELL_${upper}_GATEWAY_STATE_DIR, OPENSHELL_GATEWAY_STATE_DIR`]: `State directory (default .cache/gateway-${driver}).`,
  };
}

/** The launcher of each driver. */
export const LAUNCHERS = {
  docker: {
    name: 'tasks/gateway-docker.ts',
    summary: 'Build and run a gateway whose sandboxes are Docker containers.',
    flags: FLAGS,
    variables: {
      ...own('docker', 18_080, 'docker-dev'),
      OPENSHELL_SANDBOX_NAMESPACE: 'Namespace of the sandboxes (default docker-dev).',
      OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: POLICY,
      ...SUPERVISOR_VARIABLES,
      ...VARIABLES,
    },
  },
  podman: {
    name: 'tasks/gateway-podman.ts',
    summary: 'Build and run a gateway whose sandboxes are Podman containers.',
    flags: FLAGS,
    variables: {
      ...own('podman', 18_080, 'podman-dev'),
      OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: 'Always, IfNotPresent (default), Never or Newer, in any case.',
      OPENSHELL_SUPERVISOR_IMAGE: 'An image to use as it is (default: openshell/supervisor:dev is built).',
      'OPENSHELL_SANDBOX_HTTPS_PROXY, ..._NO_PROXY, ..._PROXY_AUTH_FILE': 'Proxy of the sandboxes.',
      'OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE, ..._PROXY_CONNECT_BY_HOSTNAME': 'true or false.',
      ...SUPERVISOR_VARIABLES,
      ...VARIABLES,
    },
  },
  vm: {
    name: 'tasks/gateway-vm.ts',
    summary: 'Build and run a gateway whose sandboxes are small virtual machines.',
    flags: { ...FLAGS, ...VM_FLAGS },
    variables: {
      ...own('vm', 18_081, 'vm-dev'),
      COMMUNITY_SANDBOX_IMAGE: 'Image of sandboxes where OPENSHELL_SANDBOX_IMAGE is not set.',
      OPENSHELL_VM_BOOTSTRAP_IMAGE: "Image that a VM starts from (default: the driver's).",
      OPENSHELL_VM_HOST_GATEWAY: 'Host name of this machine in a VM (default host.containers.internal).',
      OPENSHELL_DRIVER_DIR: 'Where the gateway looks for the driver (default: where it is built).',
      OPENSHELL_VM_RUNTIME_COMPRESSED_DIR: 'Runtime to embed (default target/vm-runtime-compressed).',
      'OPENSHELL_VM_DRIVER_STATE_DIR, OPENSHELL_VM_DRIVER_STATE_ROOT':
        "The driver's state, or the directory above it (/tmp).",
      'OPENSHELL_VM_GPU, OPENSHELL_VM_GPU_MEM_MIB, OPENSHELL_VM_GPU_VCPUS': 'As the flags.',
      ...VARIABLES,
    },
  },
  kubernetes: {
    name: 'tasks/gateway.ts --driver kubernetes',
    summary: 'Build and run a gateway whose sandboxes run in a Kubernetes cluster.',
    flags: FLAGS,
    variables: {},
  },
} as const satisfies Record<DriverName, Declaration>;

/** The launcher that chooses the driver. */
export const GATEWAY = {
  name: 'tasks/gateway.ts',
  summary: 'Build and run a gateway with the driver that fits this machine.',
  words: [
    {
      name: 'launcher-option',
      help: "Behind --: options of the driver's launcher, such as --gpu.",
      min: 0,
      max: Number.POSITIVE_INFINITY,
    },
  ],
  flags: {
    driver: { value: 'NAME', help: 'kubernetes (k8s), podman, docker or vm (microvm), in any case.' },
    ...FLAGS,
  },
  variables: {
    OPENSHELL_DRIVERS: 'The driver, where --driver is not given.',
    KUBERNETES_SERVICE_HOST: 'Set in a cluster: the driver is kubernetes.',
    'CONTAINER_ENGINE, OPENSHELL_E2E_DRIVER': 'Else docker or podman; else what answers, podman first.',
    OPENSHELL_SERVER_PORT: 'Port (default 18080; vm 18081; kubernetes 8080).',
    OPENSHELL_GATEWAY_NAME: 'Name in the CLI (default: the driver with -dev).',
    OPENSHELL_GATEWAY_STATE_DIR: 'State directory (default .cache/gateway-<driver>).',
    OPENSHELL_SANDBOX_NAMESPACE: 'Namespace of the sandboxes (kubernetes, docker).',
    OPENSHELL_SANDBOX_IMAGE_PULL_POLICY: POLICY,
    ...VARIABLES,
  },
} as const satisfies Declaration;
