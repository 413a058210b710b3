// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { clusterIn, withoutCluster } from '../../../lib/cluster/plan.ts';
import { refusalOf } from '../../support/task-errors.ts';

const node = (role: string, Running: boolean, more = {}) => ({
  name: `k3d-x-${role}`,
  role,
  State: { Running },
  ...more,
});
const list = (...nodes: readonly object[]) => JSON.stringify([{ name: 'xx' }, { name: 'x', nodes }]);
const PORTS = { portMappings: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '9000' }] } };

test.each([
  ['[]', undefined],
  ['[{"name":"xx"},{}]', undefined],
  [list(), { isRunning: false, servers: [], port: undefined }],
  [
    list(node('server', true), node('loadbalancer', true, PORTS), node('registry', false)),
    { isRunning: true, servers: ['k3d-x-server'], port: 9000 },
  ],
  [
    list(node('server', true), node('loadbalancer', false, { portMappings: { '80/tcp': null } })),
    { isRunning: false, servers: ['k3d-x-server'], port: undefined },
  ],
  ['[{"name":"x","nodes":[1,{"role":"server","name":"s"}]}]', { isRunning: false, servers: ['s'], port: undefined }],
])('K8S-6: what k3d says of a cluster: %s', (output, cluster) => {
  expect(clusterIn(output, 'x')).toEqual(cluster);
});

test.each(['', 'null', '{}', '[1]', 'WARN\n[]'])('what is not a list of clusters: %j', (output) => {
  expect(refusalOf(() => clusterIn(output, 'x'))).toMatch(
    /^2: k3d cluster list printed '.*', which is not a list of clusters/,
  );
});

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
