// SPDX-License-Identifier: Apache-2.0

/** The record of each driver, and the values that name it. */

import { notAllowed } from '../../cli/env.ts';
import type { DriverName } from '../config.ts';
import { DOCKER_DRIVER } from './docker.ts';
import { KUBERNETES_DRIVER } from './kubernetes.ts';
import { PODMAN_DRIVER } from './podman.ts';
import type { DriverRecord } from './types.ts';
import { VM_DRIVER } from './vm.ts';

export const DRIVERS: Readonly<Record<DriverName, DriverRecord>> = {
  docker: DOCKER_DRIVER,
  podman: PODMAN_DRIVER,
  vm: VM_DRIVER,
  kubernetes: KUBERNETES_DRIVER,
};

const NAMES = new Map<string, DriverName>(
  Object.entries({
    ...({ docker: 'docker', podman: 'podman', vm: 'vm', microvm: 'vm' } as const),
    ...({ kubernetes: 'kubernetes', k8s: 'kubernetes' } as const),
  }),
);

/** The driver that a value of a flag or variable means, in any case. @throws usageError that lists the values */
export function driverOf(source: string, value: string): DriverName {
  const name = NAMES.get(value.trim().toLowerCase());
  if (name !== undefined) return name;
  const several = value.includes(',') ? ' (a gateway has one driver)' : '';
  throw notAllowed(source, value, `is one of ${[...NAMES.keys()].join(', ')}${several}`);
}
