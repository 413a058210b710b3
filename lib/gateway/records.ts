// SPDX-License-Identifier: Apache-2.0

/** The record of each driver, loaded when it is needed. */

import type { DriverRecord } from './driver.ts';
import type { DriverName } from './driver-name.ts';

const LOADERS: Readonly<Record<DriverName, () => Promise<DriverRecord>>> = {
  docker: async () => (await import('./drivers/docker.ts')).DOCKER_DRIVER,
  podman: async () => (await import('./drivers/podman.ts')).PODMAN_DRIVER,
  vm: async () => (await import('./drivers/vm.ts')).VM_DRIVER,
  kubernetes: async () => (await import('./drivers/kubernetes.ts')).KUBERNETES,
};

export function recordOfDriver(name: DriverName): Promise<DriverRecord> {
  return LOADERS[name]();
}
