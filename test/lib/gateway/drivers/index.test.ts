// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { driverOf } from '../../../../lib/gateway/drivers/index.ts';
import { refusalOf } from '../../../support/task-errors.ts';

test.each([
  ['docker', 'docker'],
  ['K8S', 'kubernetes'],
  ['Kubernetes', 'kubernetes'],
  ['MicroVM', 'vm'],
  ['vm', 'vm'],
  ['Podman', 'podman'],
])('%s is %s', (value, name) => expect(driverOf('--driver', value)).toBe(name));

test.each(['', 'docker,vm', 'constructor', 'lxc'])('not %j', (value) =>
  expect(refusalOf(() => driverOf('--driver', value))).toContain('docker, podman, vm, microvm, kubernetes, k8s'),
);
