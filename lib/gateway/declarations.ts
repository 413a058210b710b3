// SPDX-License-Identifier: Apache-2.0

/** The command lines of the launchers, as declarations: the source of their parsers and of their help. */

import type { Arguments, Declaration } from '../cli/args.ts';
import { READS } from '../cli/variables.ts';

const FLAGS = {
  'dry-run': { help: 'Print the steps and start nothing but probes.' },
  activate: { help: "Make it the CLI's active gateway once it responds." },
  'no-activate': { help: "Leave the CLI's active gateway as it is." },
} as const;

const VM_FLAGS = {
  gpu: { help: 'Give a GPU to sandboxes that request one (needs root).' },
  'gpu-mem-mib': { value: 'MIB', help: 'Memory of a sandbox with a GPU (default 8192).' },
  'gpu-vcpus': { value: 'N', help: 'Virtual CPUs of a sandbox with a GPU (default 4).' },
} as const;

/** What every launcher reads. */
const COMMON = [
  ...(['OPENSHELL_SERVER_PORT', 'OPENSHELL_BIND_ADDRESS', 'OPENSHELL_GATEWAY_NAME'] as const),
  ...(['OPENSHELL_GATEWAY_STATE_DIR', 'OPENSHELL_SANDBOX_IMAGE', 'OPENSHELL_GRPC_ENDPOINT'] as const),
  ...(['OPENSHELL_LOG_LEVEL', 'OPENSHELL_DISABLE_TLS'] as const),
] as const;

const POLICY = 'OPENSHELL_SANDBOX_IMAGE_PULL_POLICY';

/** The launcher of each driver. */
export const LAUNCHERS = {
  docker: {
    name: 'tasks/gateway-docker.ts',
    summary: 'Build and run a gateway whose sandboxes are Docker containers.',
    examples: [
      ['mise run gateway:docker', 'Build it and run it on port 18080.'],
      [
        'OPENSHELL_SERVER_PORT=18090 OPENSHELL_GATEWAY_NAME=second mise run gateway:docker -- --activate',
        'A second one, which the CLI uses.',
      ],
    ],
    flags: FLAGS,
    variables: [
      ...(['OPENSHELL_DOCKER_GATEWAY_NAME', 'OPENSHELL_DOCKER_GATEWAY_STATE_DIR', ...COMMON] as const),
      ...(['OPENSHELL_SANDBOX_NAMESPACE', POLICY, 'OPENSHELL_SUPERVISOR_PROFILE'] as const),
      ...(['SUPERVISOR_LIBC', ...READS.compile] as const),
    ],
  },
  podman: {
    name: 'tasks/gateway-podman.ts',
    summary: 'Build and run a gateway whose sandboxes are Podman containers.',
    examples: [
      ['mise run gateway:podman', 'Build it and run it on port 18080.'],
      ['OPENSHELL_SUPERVISOR_PROFILE=release mise run gateway:podman', 'With the supervisor of a release.'],
    ],
    flags: FLAGS,
    variables: [
      ...(['OPENSHELL_PODMAN_GATEWAY_NAME', 'OPENSHELL_PODMAN_GATEWAY_STATE_DIR', ...COMMON, POLICY] as const),
      ...(['OPENSHELL_SANDBOX_HTTPS_PROXY', 'OPENSHELL_SANDBOX_NO_PROXY'] as const),
      ...(['OPENSHELL_SANDBOX_PROXY_AUTH_FILE', 'OPENSHELL_SANDBOX_PROXY_AUTH_ALLOW_INSECURE'] as const),
      ...(['OPENSHELL_SANDBOX_PROXY_CONNECT_BY_HOSTNAME', 'OPENSHELL_SUPERVISOR_IMAGE'] as const),
      ...(['OPENSHELL_PODMAN_SOCKET', 'OPENSHELL_SUPERVISOR_PROFILE', 'SUPERVISOR_LIBC', ...READS.compile] as const),
    ],
  },
  vm: {
    name: 'tasks/gateway-vm.ts',
    summary: 'Build and run a gateway whose sandboxes are small virtual machines.',
    examples: [
      ['mise run gateway:vm', 'Build it, its driver and what that embeds, and run it.'],
      ['mise run gateway:vm -- --gpu --gpu-mem-mib 16384', 'With a GPU for sandboxes that request one.'],
    ],
    flags: { ...FLAGS, ...VM_FLAGS },
    variables: [
      ...(['OPENSHELL_VM_GATEWAY_NAME', 'OPENSHELL_VM_GATEWAY_STATE_DIR', ...COMMON] as const),
      ...(['COMMUNITY_SANDBOX_IMAGE', 'OPENSHELL_VM_BOOTSTRAP_IMAGE', 'OPENSHELL_VM_HOST_GATEWAY'] as const),
      ...(['OPENSHELL_DRIVER_DIR', 'OPENSHELL_VM_DRIVER_STATE_DIR', 'OPENSHELL_VM_DRIVER_STATE_ROOT'] as const),
      ...(['OPENSHELL_VM_GPU', 'OPENSHELL_VM_GPU_MEM_MIB', 'OPENSHELL_VM_GPU_VCPUS'] as const),
      ...(['GUEST_ARCH', 'FROM_SOURCE', ...READS.releases, ...READS.supervisor] as const),
    ],
  },
  kubernetes: {
    name: 'tasks/gateway.ts --driver kubernetes',
    summary: 'Build and run a gateway whose sandboxes run in a Kubernetes cluster.',
    examples: [
      ['mise run gateway -- --driver kubernetes', 'For the current kube context.'],
      ['mise run gateway -- --driver k8s --dry-run', 'Print the steps.'],
    ],
    flags: FLAGS,
    variables: ['KUBECONFIG', ...COMMON, 'OPENSHELL_SANDBOX_NAMESPACE', POLICY, ...READS.compile],
  },
} as const satisfies Record<string, Declaration>;

export type DriverName = keyof typeof LAUNCHERS;

export type LaunchFlags = Arguments<typeof LAUNCHERS.docker>['flags'] &
  Partial<Arguments<typeof LAUNCHERS.vm>['flags']>;

/** The launcher that selects the driver. */
export const GATEWAY = {
  name: 'tasks/gateway.ts',
  summary: 'Build and run a gateway with the driver that fits this machine.',
  examples: [
    ['mise run gateway', 'With the engine that could carry it.'],
    ['mise run gateway -- --driver vm -- --gpu', 'With a driver, and an option of its launcher.'],
  ],
  positionals: {
    'launcher-option': {
      help: "Options of the driver's launcher, such as --gpu.",
      count: 'any',
      afterDashes: Object.keys(VM_FLAGS),
    },
  },
  flags: {
    driver: { value: 'NAME', help: 'kubernetes (k8s), podman, docker or vm (microvm), in any case.' },
    ...FLAGS,
  },
  variables: [
    ...(['OPENSHELL_DRIVERS', 'KUBERNETES_SERVICE_HOST', ...READS.engine, 'OPENSHELL_PODMAN_SOCKET'] as const),
    ...LAUNCHERS.kubernetes.variables,
  ],
} as const satisfies Declaration;
