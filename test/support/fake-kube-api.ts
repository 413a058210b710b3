// SPDX-License-Identifier: Apache-2.0

/** As much of the API of Kubernetes as kubectl needs to map kinds to resources; it has no objects. */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

const APPS = { groupVersion: 'apps/v1', version: 'v1' };
const resources = (groupVersion: string, kinds: Readonly<Record<string, string>>) => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: Object.entries(kinds).map(([name, kind]) => ({
    ...{ name, singularName: kind.toLowerCase(), namespaced: kind !== 'Namespace', kind },
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  })),
});
const DOCUMENTS: Readonly<Record<string, object>> = {
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': {
    ...{ kind: 'APIGroupList', apiVersion: 'v1' },
    groups: [{ name: 'apps', versions: [APPS], preferredVersion: APPS }],
  },
  '/api/v1': resources('v1', {
    namespaces: 'Namespace',
    configmaps: 'ConfigMap',
    secrets: 'Secret',
    services: 'Service',
  }),
  '/apis/apps/v1': resources('apps/v1', { deployments: 'Deployment' }),
};

/** Serves until the test ends; gives the URL. */
export async function serveKubeApi(): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    const document = DOCUMENTS[new URL(url, 'http://x').pathname];
    const absent = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? absent));
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
