// SPDX-License-Identifier: Apache-2.0

/** The record of each driver, loaded when it is needed. */

import type { DriverName, DriverRecord } from './types.ts';

const LOADERS: Readonly<Record<DriverName, () => Promise<DriverRecord>>> = {
  docker: async () => (await import('./docker.ts')).DOCKER_DRIVER,
  podman: async () => (await import('./podman.ts')).PODMAN_DRIVER,
  vm: async () => (await import('./vm.ts')).VM_DRIVER,
  kubernetes: async () => (await import('./kubernetes.ts')).KUBERNETES,
};

export function recordOfDriver(name: DriverName): Promise<DriverRecord> {
  return LOADERS[name]();
}
