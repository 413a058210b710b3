// SPDX-License-Identifier: Apache-2.0

/** The record of each driver. */

import { DOCKER_DRIVER } from './docker.ts';
import { KUBERNETES_DRIVER } from './kubernetes.ts';
import type { DriverName } from './names.ts';
import { PODMAN_DRIVER } from './podman.ts';
import type { DriverRecord } from './types.ts';
import { VM_DRIVER } from './vm.ts';

export const DRIVERS: Readonly<Record<DriverName, DriverRecord>> = {
  docker: DOCKER_DRIVER,
  podman: PODMAN_DRIVER,
  vm: VM_DRIVER,
  kubernetes: KUBERNETES_DRIVER,
};
