// SPDX-License-Identifier: Apache-2.0

/** The compute drivers and the values that name them. */

import { notAllowed } from '../../cli/env.ts';

export type DriverName = 'docker' | 'podman' | 'vm' | 'kubernetes';

const NAMES = new Map<string, DriverName>([
  ['docker', 'docker'],
  ['podman', 'podman'],
  ['vm', 'vm'],
  ['microvm', 'vm'],
  ['kubernetes', 'kubernetes'],
  ['k8s', 'kubernetes'],
]);

/**
 * The driver that a value means, in any case.
 * @param source the flag or variable that the value comes from
 * @throws usageError that lists the values
 */
export function driverOf(source: string, value: string): DriverName {
  const name = NAMES.get(value.trim().toLowerCase());
  if (name !== undefined) return name;
  const several = value.includes(',') ? ' (a gateway has one driver)' : '';
  throw notAllowed(source, value, `is one of ${[...NAMES.keys()].join(', ')}${several}`);
}
