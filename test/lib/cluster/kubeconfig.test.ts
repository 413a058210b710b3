// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { withoutCluster } from '../../../lib/cluster/kubeconfig.ts';

const named = (...names: readonly string[]) => names.map((name) => ({ name }));

test('K8S-1: only the entries of the cluster go, and the current context only where it is its own', () => {
  const kubeconfig = {
    ...{ apiVersion: 'v1', preferences: { colors: true } },
    clusters: named('k3d-x', 'k3d-x2', 'x'),
    contexts: named('k3d-x', 'admin'),
    users: named('admin@k3d-x', 'admin@k3d-x2', 'k3d-x'),
  };
  const kept = {
    ...{ apiVersion: 'v1', preferences: { colors: true } },
    clusters: named('k3d-x2', 'x'),
    contexts: named('admin'),
    users: named('admin@k3d-x2'),
  };
  expect(withoutCluster({ ...kubeconfig, 'current-context': 'k3d-x' }, 'k3d-x')).toEqual({
    ...kept,
    'current-context': '',
  });
  expect(withoutCluster({ ...kubeconfig, 'current-context': 'admin' }, 'k3d-x')).toEqual({
    ...kept,
    'current-context': 'admin',
  });
  expect(withoutCluster({ clusters: null, contexts: null, users: null }, 'k3d-x')).toEqual({
    clusters: null,
    contexts: null,
    users: null,
  });
});
