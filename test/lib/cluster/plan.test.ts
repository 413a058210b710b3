// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { clusterIn } from '../../../lib/cluster/plan.ts';
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
