// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { driverOf, namedDriver } from '../../../lib/gateway/select-driver.ts';
import { refusalOf } from '../../support/task-errors.ts';

test('flag, variable, cluster', () => {
  expect(namedDriver('vm', {})?.driver).toBe('vm');
  expect(namedDriver(undefined, { OPENSHELL_DRIVERS: 'podman', KUBERNETES_SERVICE_HOST: 'x' })?.driver).toBe('podman');
  expect(namedDriver(undefined, { KUBERNETES_SERVICE_HOST: 'x' })?.driver).toBe('kubernetes');
  expect(namedDriver(undefined, {})).toBeUndefined();
  expect(refusalOf(() => namedDriver('vm', { OPENSHELL_DRIVERS: 'vm' }))).toContain('give one of them');
  expect(refusalOf(() => namedDriver(undefined, { OPENSHELL_DRIVERS: 'docker,vm' }))).toContain('has one driver');
});

test.each([
  ['docker', 'docker'],
  ['K8S', 'kubernetes'],
  ['Kubernetes', 'kubernetes'],
  ['MicroVM', 'vm'],
  ['vm', 'vm'],
  ['Podman', 'podman'],
])('%s is %s', (value, name) => expect(driverOf('--driver', value)).toBe(name));

test.each(['', 'docker,vm', 'constructor', 'lxc'])('not %j', (value) =>
  expect(refusalOf(() => driverOf('--driver', value))).toContain('docker, podman, vm, kubernetes, microvm, k8s'),
);
