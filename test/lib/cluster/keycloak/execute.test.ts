// SPDX-License-Identifier: Apache-2.0

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type KeycloakConfig, manifest } from '../../../../lib/cluster/keycloak/execute.ts';
import { serveKubeApi } from '../../../support/fake-kube-api.ts';
import { requireTools } from '../../../support/real-tools.ts';
import { runProcess } from '../../../support/run-task.ts';
import { temporaryDirectory } from '../../../support/temporary.ts';

const CONFIG: KeycloakConfig = {
  image: 'quay.io/keycloak/keycloak:24.0',
  user: 'admin',
  password: 'admin',
  port: 9090,
  timeoutSeconds: 120,
  realm: { name: 'openshell', text: '{"realm":"openshell"}\n' },
  issuer: 'http://keycloak.keycloak.svc.cluster.local/realms/openshell',
};

// biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever it wants
const items = (config: KeycloakConfig = CONFIG): any => JSON.parse(JSON.stringify(manifest(config).items));

test('the objects are those of the contract', () => {
  const [namespace, configMap, secret, deployment, service] = items();
  expect(namespace).toEqual({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'keycloak' } });
  expect(configMap.data).toEqual({ 'realm.json': CONFIG.realm.text });
  expect(secret).toMatchObject({ kind: 'Secret', metadata: { name: 'keycloak-admin', namespace: 'keycloak' } });
  expect(service.spec).toEqual({ selector: { app: 'keycloak' }, ports: [{ port: 80, targetPort: 8080 }] });
  expect(deployment.spec).toMatchObject({
    replicas: 1,
    selector: { matchLabels: { app: 'keycloak' } },
    template: { metadata: { labels: { app: 'keycloak' } } },
  });
  expect(deployment.spec.template.spec.volumes).toEqual([{ name: 'realm', configMap: { name: 'openshell-realm' } }]);
  expect(deployment.spec.template.spec.containers).toEqual([
    {
      name: 'keycloak',
      image: CONFIG.image,
      args: ['start-dev', '--import-realm'],
      env: [
        { name: 'KEYCLOAK_ADMIN', value: 'admin' },
        { name: 'KEYCLOAK_ADMIN_PASSWORD', valueFrom: { secretKeyRef: { name: 'keycloak-admin', key: 'password' } } },
        { name: 'KC_HOSTNAME', value: 'keycloak.keycloak.svc.cluster.local' },
        { name: 'KC_HOSTNAME_STRICT', value: 'false' },
        { name: 'KC_HOSTNAME_STRICT_HTTPS', value: 'false' },
        { name: 'KC_HTTP_ENABLED', value: 'true' },
      ],
      ports: [{ containerPort: 8080 }],
      readinessProbe: {
        httpGet: { path: '/realms/master', port: 8080 },
        initialDelaySeconds: 20,
        periodSeconds: 5,
        failureThreshold: 12,
      },
      resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '1Gi' } },
      volumeMounts: [{ name: 'realm', mountPath: '/opt/keycloak/data/import' }],
    },
  ]);
});

test('K8S-12: the password is in the Secret alone, whatever it is', () => {
  const password = 'a"b: #\n$(x)é';
  const objects = items({ ...CONFIG, password });
  expect(objects[2].stringData).toEqual({ password });
  const others = JSON.stringify(objects.filter((object: { kind: string }) => object.kind !== 'Secret'));
  expect(others).not.toContain(JSON.stringify(password).slice(1, -1));
});

test('K8S-14: another realm starts Keycloak anew, and the same does not', () => {
  const template = (config: KeycloakConfig) => items(config)[3].spec.template.metadata.annotations;
  const same = template(CONFIG);
  expect(template({ ...CONFIG })).toEqual(same);
  expect(template({ ...CONFIG, realm: { ...CONFIG.realm, text: '{}' } })['checksum/realm']).not.toBe(
    same['checksum/realm'],
  );
  // By sha256sum.
  expect(same['checksum/realm']).toBe('015cff203f31287ade2603ffeffd2ff8ef28bef902f54a914f9358d087cf1848');
});

const tools = requireTools('kubectl');

describe('real kubectl', tools.options, () => {
  test('K8S-12: it accepts the objects, with a hostile password', async () => {
    const directory = temporaryDirectory();
    const path = join(directory, 'objects.json');
    writeFileSync(path, JSON.stringify(manifest({ ...CONFIG, password: 'a"b: #\n', user: "it's" })));
    const args = [
      '--server',
      await serveKubeApi(),
      'apply',
      '--dry-run=client',
      '--validate=false',
      '-o',
      'json',
      '-f',
      path,
    ];
    const result = await runProcess(tools.path('kubectl'), args, {
      cwd: directory,
      env: { HOME: directory, PATH: process.env.PATH ?? '', KUBECONFIG: '/dev/null' },
    });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    const accepted = JSON.parse(result.stdout).items.map(({ kind }: { kind: string }) => kind);
    expect(accepted).toEqual(['Namespace', 'ConfigMap', 'Secret', 'Deployment', 'Service']);
    expect(readFileSync(path, 'utf8')).toContain("it's");
  });
});
