// SPDX-License-Identifier: Apache-2.0

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addKeycloakFiles, type ClusterFakes, FakeCluster, kubeconfigText, REALM } from '../support/fake-cluster.ts';
import { bashQuote } from '../support/fake-tools.ts';
import { requireTools } from '../support/real-tools.ts';
import { whenSaid } from '../support/run-task.ts';

const tools = requireTools('kubectl');
const LEAD = (root: string) => ['--kubeconfig', join(root, 'kubeconfig'), '--context'];

/** A checkout whose kubeconfig has a local context and another one; the current one is given. */
function newCluster(current = 'k3d-x', kubectl: ClusterFakes['kubectl'] = []): FakeCluster {
  const cluster = new FakeCluster(tools.path('kubectl'));
  const file = kubeconfigText('x', 'https://x', current);
  writeFileSync(
    cluster.kubeconfig,
    file.replace('current-context', '- {name: prod, context: {cluster: k3d-x}}\ncurrent-context'),
  );
  setKubectl(cluster, kubectl);
  return cluster;
}

/** What changes a cluster is a fake, which keeps what it reads. */
function setKubectl(cluster: FakeCluster, kubectl: ClusterFakes['kubectl'] = []): void {
  const applied = bashQuote(join(cluster.tools.directory, 'applied'));
  const script = `[[ "$*" == *"config view"* ]] && exec ${tools.path('kubectl')} "$@"; [[ "$*" == *apply* ]] && printf '%s' "$(</dev/stdin)" > ${applied}; :`;
  cluster.tools.add('kubectl', [...kubectl, { args: [], script }]);
}

const setup = (cluster: FakeCluster, args: readonly string[] = [], extra = {}, options = {}) =>
  cluster.run(args, extra, options, 'keycloak-k8s-setup');

function changes(cluster: FakeCluster): string[] {
  return cluster.tools.lines().filter((line) => !line.includes('config view'));
}

describe('Keycloak in a cluster', tools.options, () => {
  test('K8S-11, K8S-15: applied, waited for, and how to use it, with all test users', async () => {
    const cluster = newCluster();
    const result = await setup(cluster, [], { KEYCLOAK_SETUP_PORT: '9191', KEYCLOAK_HEALTH_TIMEOUT: '7' });
    expect(result, result.stderr).toMatchObject({ status: 0 });
    const kubectl = `kubectl --kubeconfig ${cluster.kubeconfig} --context k3d-x`;
    expect(changes(cluster)).toEqual([
      `${kubectl} apply -f -`,
      `${kubectl} -n keycloak rollout status deployment/keycloak --timeout=7s`,
    ]);
    expect(result.stdout).toBe(`Keycloak is ready.
In-cluster issuer: http://keycloak.keycloak.svc.cluster.local/realms/openshell
Helm values file: deploy/helm/openshell/ci/values-keycloak.yaml (uncomment it in deploy/helm/openshell/skaffold.yaml)
For tokens, keep this running: ${kubectl} -n keycloak port-forward svc/keycloak 9191:80
Users:         admin@test/admin (openshell-admin), user@test/user and user-b@test/user-b (openshell-user)
Get a token:   curl -s http://localhost:9191/realms/openshell/protocol/openid-connect/token -d 'grant_type=password&client_id=openshell-cli&username=admin@test&password=admin' | jq -r .access_token
`);
  });

  test.each([
    ['prod', [], 2, /^error: the current kube context 'prod' is not a local one \(k3d-\*, kind-\*\)/m],
    ['prod', ['--context', 'prod'], 0, /^the kube context is prod$/m],
    [
      'k3d-x',
      ['--context', 'nope'],
      2,
      /^error: there is no kube context 'nope'; --context takes k3d-x, prod, or set KUBECONFIG$/m,
    ],
    ['""', [], 2, /^error: there is no current kube context; --context takes k3d-x, prod/m],
    ['prod', ['--teardown'], 2, /is not a local one/],
  ])('K8S-13: with the context %s and %j: status %d', async (current, args, status, said) => {
    const cluster = newCluster(current);
    const result = await setup(cluster, args);
    expect(result.stderr).toMatch(said);
    expect(result.status).toBe(status);
    expect(changes(cluster).length > 0).toBe(status === 0);
  });

  test('K8S-13: a kubeconfig without any context', async () => {
    const cluster = newCluster();
    const result = await setup(cluster, [], { KUBECONFIG: 'absent' });
    expect(result).toMatchObject({
      status: 2,
      stderr: 'error: there is no current kube context; run mise run helm:k3s:create, or set KUBECONFIG\n',
    });
    const image = `quay.io/x/y:1@sha256:${'a'.repeat(64)}`;
    expect(await setup(cluster, ['--dry-run'], { KEYCLOAK_IMAGE: image })).toMatchObject({ status: 0 });
  });

  test('a KUBECONFIG of the user wins, relative to the directory that the task is started in', async () => {
    const cluster = newCluster('prod');
    writeFileSync(join(cluster.root, 'own'), kubeconfigText('own', 'https://own'));
    expect(await setup(cluster, [], { KUBECONFIG: 'own' })).toMatchObject({ status: 0 });
    expect(changes(cluster)[0]).toBe('kubectl --context k3d-own apply -f -');
  });

  test('all problems at once, before anything is applied', async () => {
    const cluster = newCluster('prod');
    rmSync(join(cluster.root, 'scripts'), { recursive: true });
    const result = await setup(cluster, [], {
      KEYCLOAK_IMAGE: 'Not an image',
      KEYCLOAK_HEALTH_TIMEOUT: 'soon',
      KEYCLOAK_SETUP_PORT: '70000',
    });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    const realm = join(cluster.root, 'scripts/keycloak-realm.json');
    expect(result.stderr.match(/^error: \S+/gm)).toEqual(
      ['KEYCLOAK_IMAGE', 'KEYCLOAK_SETUP_PORT', 'KEYCLOAK_HEALTH_TIMEOUT', realm, 'the'].map(
        (word) => `error: ${word}`,
      ),
    );
    expect(changes(cluster)).toEqual([]);
  });

  test.each([
    [
      '{',
      'http://keycloak.keycloak.svc.cluster.local/realms/openshell',
      /keycloak-realm\.json cannot be read, or is not a realm in JSON/,
    ],
    [
      REALM,
      'http://elsewhere/realms/openshell',
      /values-keycloak\.yaml does not have the issuer that Keycloak's tokens will bear, http:\/\/keycloak\./,
    ],
    [
      { ...REALM, realm: 'other' },
      'http://keycloak.keycloak.svc.cluster.local/realms/openshell',
      /will bear, http:\S+\/realms\/other; make them agree/,
    ],
  ])('K8S-11: the realm %j with the issuer %s', async (realm, issuer, said) => {
    const cluster = newCluster();
    addKeycloakFiles(cluster.root, realm, issuer);
    const result = await setup(cluster);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(said);
    rmSync(join(cluster.root, 'deploy/helm/openshell/ci/values-keycloak.yaml'));
    expect((await setup(cluster)).stderr).toMatch(/^error: \S+/m);
    expect(changes(cluster)).toEqual([]);
  });

  test('K8S-15: without kubectl it says so first', async () => {
    const cluster = newCluster();
    rmSync(join(cluster.tools.bin, 'kubectl'));
    const result = await setup(cluster);
    expect(result).toMatchObject({
      status: 2,
      stderr: 'error: kubectl is not on PATH; run mise install, or install it\n',
    });
  });

  test('a dry run names the objects, without what is in them', async () => {
    const cluster = newCluster();
    const { stdout } = await setup(cluster, ['--dry-run'], { KEYCLOAK_ADMIN_PASSWORD: 'hunter2' });
    expect(stdout).toMatch(
      /^# applies Namespace keycloak\n(# applies .*\n){4}kubectl .* apply -f -\nkubectl .*--timeout=120s\n$/,
    );
    expect(stdout).not.toContain('hunter2');
    expect((await setup(cluster, ['--teardown', '--dry-run'])).stdout).toBe(
      `kubectl --kubeconfig ${cluster.kubeconfig} --context k3d-x delete namespace keycloak --ignore-not-found\n`,
    );
    expect(changes(cluster)).toEqual([]);
  });

  test('kubectl fails, and the teardown', async () => {
    const cluster = newCluster();
    expect(await setup(cluster, ['--teardown'])).toMatchObject({ status: 0, stdout: '' });
    setKubectl(cluster, [
      {
        args: [...LEAD(cluster.root), 'k3d-x', '-n', 'keycloak', 'rollout'],
        script: 'echo timed out waiting >&2; exit 3',
      },
    ]);
    const result = await setup(cluster);
    expect(result).toMatchObject({ status: 3, stdout: '' });
  });

  test.each(['apply', 'rollout'])('Ctrl-C during %s: 130', async (verb) => {
    const cluster = newCluster();
    const script = "echo waiting >&2; trap 'exit 130' INT; while :; do /bin/sleep 0.1; done";
    setKubectl(cluster, [
      { args: [...LEAD(cluster.root), 'k3d-x', ...(verb === 'apply' ? [verb] : ['-n', 'keycloak', verb])], script },
    ]);
    const result = await setup(cluster, [], {}, { onStart: whenSaid('waiting', (child) => child.kill('SIGINT')) });
    expect(result, result.stderr).toMatchObject({ status: 130, stdout: '' });
  });
});
