// SPDX-License-Identifier: Apache-2.0

/** A Keycloak in a cluster: what it is set up with, checked, where it may go, its objects, and their removal. */

import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RunnerContext } from '../../build-env.ts';
import { findCheckout } from '../../checkout.ts';
import { findOrMark, mark } from '../../cli/dry-run-marks.ts';
import { type Environment, readVariable } from '../../cli/env.ts';
import { Problems } from '../../cli/problems.ts';
import { oneLine, shown, usageError } from '../../errors.ts';
import { isOfOther } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { absolutePath, textIn } from '../../fs/paths.ts';
import { verifyReference } from '../../image/reference.ts';
import { userLines } from '../../keycloak/execute.ts';
import { cmd, commandText } from '../../process/command.ts';
import { requireProgram } from '../../process/which.ts';
import { PRODUCT } from '../../product.ts';

const VALUES_FILE = 'deploy/helm/openshell/ci/values-keycloak.yaml';
/** The service's name in the cluster: tokens bear it, however they were got. */
const HOST = 'keycloak.keycloak.svc.cluster.local';
const NAME = 'keycloak';
const REALM = 'openshell-realm';
const ADMIN = 'keycloak-admin';
const PORT = 8080;

export type KeycloakConfig = ReturnType<typeof resolveKeycloakConfig>;

function resolveKeycloakConfig(problems: Problems, env: Environment, root: string) {
  const realm = () => readRealm(join(root, PRODUCT.keycloakRealm));
  return problems.values({
    image: () => verifyReference('KEYCLOAK_IMAGE', readVariable(env, 'KEYCLOAK_IMAGE'), true),
    user: () => readVariable(env, 'KEYCLOAK_ADMIN_USER'),
    password: () => readVariable(env, 'KEYCLOAK_ADMIN_PASSWORD'),
    port: () => readVariable(env, 'KEYCLOAK_SETUP_PORT'),
    timeoutSeconds: () => readVariable(env, 'KEYCLOAK_HEALTH_TIMEOUT'),
    realm,
    issuer: () => verifyIssuer(join(root, VALUES_FILE), `http://${HOST}/realms/${realm().name}`),
  });
}

/** @throws usageError for a file that is absent, or not a realm */
function readRealm(path: string) {
  const text = textIn(path) ?? '';
  const realm = parseTable(text);
  if (typeof realm?.realm !== 'string') {
    throw usageError(`${path} cannot be read, or is not a realm in JSON; get it back from the repository`);
  }
  return { name: realm.realm, text };
}

/** @throws usageError where the gateway would expect tokens of another issuer */
function verifyIssuer(path: string, issuer: string): string {
  const found = /^\s*issuer:\s*(["']?)(\S*?)\1\s*(?:#.*)?$/m.exec(textIn(path) ?? '')?.[2];
  if (found === issuer) return issuer;
  throw usageError(`${path} does not have the issuer that Keycloak's tokens will bear, ${issuer}; make them agree`);
}

/** The objects, in the order in which they are applied: one value for `kubectl apply`. */
export function manifest(config: KeycloakConfig) {
  const metadata = (name: string) => ({ name, namespace: NAME });
  const ports = [{ port: 80, targetPort: PORT }];
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAME } },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(REALM), data: { 'realm.json': config.realm.text } },
    { apiVersion: 'v1', kind: 'Secret', metadata: metadata(ADMIN), stringData: { password: config.password } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: metadata(NAME), spec: deployment(config) },
    { apiVersion: 'v1', kind: 'Service', metadata: metadata(NAME), spec: { selector: { app: NAME }, ports } },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

function deployment({ image, realm, user }: KeycloakConfig) {
  const env = {
    KC_HOSTNAME: HOST,
    KC_HOSTNAME_STRICT: 'false',
    KC_HOSTNAME_STRICT_HTTPS: 'false',
    KC_HTTP_ENABLED: 'true',
  };
  const container = {
    name: NAME,
    image,
    args: ['start-dev', '--import-realm'],
    env: [
      { name: 'KEYCLOAK_ADMIN', value: user },
      { name: 'KEYCLOAK_ADMIN_PASSWORD', valueFrom: { secretKeyRef: { name: ADMIN, key: 'password' } } },
      ...Object.entries(env).map(([name, value]) => ({ name, value })),
    ],
    ports: [{ containerPort: PORT }],
    readinessProbe: {
      httpGet: { path: '/realms/master', port: PORT },
      ...{ initialDelaySeconds: 20, periodSeconds: 5, failureThreshold: 12 },
    },
    resources: { requests: { cpu: '500m', memory: '512Mi' }, limits: { memory: '1Gi' } },
    volumeMounts: [{ name: 'realm', mountPath: '/opt/keycloak/data/import' }],
  };
  // Keycloak reads the realm when it starts: a change starts it anew.
  const annotations = { 'checksum/realm': hash('sha256', realm.text) };
  const template = {
    metadata: { labels: { app: NAME }, annotations },
    spec: { containers: [container], volumes: [{ name: 'realm', configMap: { name: REALM } }] },
  };
  return { replicas: 1, selector: { matchLabels: { app: NAME } }, template };
}

/** The named context, else the current one of a local cluster. @param output of `kubectl config view -o json` */
function chooseContext(output: string, named: string | undefined): string {
  const view = parseTable(output);
  const contexts = [view?.contexts]
    .flat()
    .filter(isTable)
    .map((one) => String(one.name));
  const context = named ?? String(view?.['current-context'] ?? '');
  if (!contexts.includes(context)) {
    const remedy = contexts.length > 0 ? `--context takes ${contexts.join(', ')}` : 'run mise run helm:k3s:create';
    const what = context === '' ? 'there is no current kube context' : `there is no kube context ${shown(context)}`;
    throw usageError(`${what}; ${remedy}, or set KUBECONFIG`);
  }
  if (named !== undefined || /^(k3d|kind)-/.test(context)) return context;
  throw usageError(
    `the current kube context ${shown(context)} is not a local one (k3d-*, kind-*), and this Keycloak is for tests; ` +
      'change to one, or name it: --context NAME',
  );
}

const PROBE_TIMEOUT_MS = 20_000;

/** Sets Keycloak up, or removes it, or prints the plan. */
export async function keycloakInCluster(
  ctx: RunnerContext,
  flags: { readonly 'dry-run': boolean; readonly teardown: boolean; readonly context: string | undefined },
): Promise<void> {
  const { env, runner, startDirectory, terminal } = ctx;
  const root = findCheckout(env, startDirectory);
  const problems = new Problems();
  const config = flags.teardown ? undefined : resolveKeycloakConfig(problems, env, root);
  // The checkout's kubeconfig, as its mise sets it, where nothing else is set; else kubectl knows.
  const own = join(root, 'kubeconfig');
  const named = readVariable(env, 'KUBECONFIG');
  const base = ['kubectl', ...(named === undefined && existsSync(own) ? ['--kubeconfig', own] : [])];
  // Under sudo what kubectl caches belongs to who has the kubeconfig.
  const start = cmd({ cwd: startDirectory, asInvoker: isOfOther(absolutePath(startDirectory, named ?? own)) });
  const search = async () => {
    requireProgram('kubectl', env, 'run mise install, or install it');
    const view = await runner.probe(start`${base} config view -o json`, PROBE_TIMEOUT_MS);
    if (!view.ok) throw usageError(`kubectl cannot read the kubeconfig: ${oneLine(view.reason)}; check KUBECONFIG`);
    return chooseContext(view.output, flags.context);
  };
  const marked = flags.context ?? mark('kube context', 'kubectl not on PATH');
  const context = await problems.attemptAsync(() => findOrMark(ctx.unknowns, search, marked));
  problems.throwIfAny(terminal);
  const kubectl = [...base, '--context', context ?? ''];
  if (config === undefined) {
    const remove = start`${kubectl} delete namespace keycloak --ignore-not-found`;
    return flags['dry-run'] ? terminal.result(runner.describe(remove)) : runner.run(remove);
  }
  const apply = start`${kubectl} apply -f -`;
  const rollout = start`${kubectl} -n keycloak rollout status deployment/keycloak --timeout=${config.timeoutSeconds}s`;
  const forward = start`${kubectl} -n keycloak port-forward svc/keycloak ${config.port}:80`;
  const objects = manifest(config);
  if (flags['dry-run']) {
    const lines = objects.items.map(({ kind, metadata }) => `# applies ${kind} ${metadata.name}`);
    return terminal.result(...lines, runner.describe(apply), runner.describe(rollout));
  }
  terminal.say(`the kube context is ${context}`);
  await terminal.section('apply', () => runner.run(apply, { input: `${JSON.stringify(objects)}\n` }));
  await terminal.section('Keycloak', () => runner.run(rollout));
  terminal.result(
    'Keycloak is ready.',
    `In-cluster issuer: ${config.issuer}`,
    `Helm values file: ${VALUES_FILE} (uncomment it in deploy/helm/openshell/skaffold.yaml)`,
    // Through a port of this machine tokens bear the issuer that only the cluster can reach.
    `For tokens, keep this running: ${commandText(forward)}`,
    ...userLines(`http://localhost:${config.port}`),
  );
  terminal.say(`done: ${terminal.timings()}`);
}
