// SPDX-License-Identifier: Apache-2.0

/** What a Keycloak in a cluster is set up with: environment, realm and values file, checked, as one value. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, readVariable, textOf } from '../../cli/env.ts';
import type { Problems } from '../../cli/problems.ts';
import { shown, usageError } from '../../errors.ts';
import { isOfOther } from '../../fs/ownership.ts';
import { isTable, parseTable } from '../../fs/parse-json.ts';
import { absolutePath, textIn } from '../../fs/paths.ts';
import { verifyReference } from '../../image/reference.ts';

const REALM_FILE = 'scripts/keycloak-realm.json';
export const VALUES_FILE = 'deploy/helm/openshell/ci/values-keycloak.yaml';
/** The service's name in the cluster: tokens bear it, however they were got. */
export const HOST = 'keycloak.keycloak.svc.cluster.local';

export interface Realm {
  readonly name: string;
  readonly text: string;
  readonly users: readonly { readonly name: string; readonly password: string; readonly roles: string }[];
}

/** A value that is wrong throws its error where it is used. */
export interface KeycloakConfig {
  readonly image: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
  readonly timeoutSeconds: number;
  readonly realm: Realm;
  readonly issuer: string;
}

/** Resolves the configuration; whatever is wrong becomes one of the problems. */
export function resolveKeycloakConfig(problems: Problems, env: Environment, root: string): KeycloakConfig {
  return problems.values<KeycloakConfig>({
    image: () => verifyReference('KEYCLOAK_IMAGE', readVariable(env, 'KEYCLOAK_IMAGE'), true),
    user: () => readVariable(env, 'KEYCLOAK_ADMIN_USER'),
    password: () => readVariable(env, 'KEYCLOAK_ADMIN_PASSWORD'),
    port: () => readVariable(env, 'KEYCLOAK_SETUP_PORT'),
    timeoutSeconds: () => readVariable(env, 'KEYCLOAK_HEALTH_TIMEOUT'),
    realm: () => readRealm(join(root, REALM_FILE)),
    issuer: ({ realm }) => verifyIssuer(join(root, VALUES_FILE), `http://${HOST}/realms/${realm.name}`),
  });
}

/** The checkout's kubeconfig, as its mise sets it, where nothing else is set; else kubectl knows. */
export function kubeconfigOf(env: Environment, root: string): string | undefined {
  const own = join(root, 'kubeconfig');
  return readVariable(env, 'KUBECONFIG') === undefined && existsSync(own) ? own : undefined;
}

/** Whether the kubeconfigs are those of the user behind sudo, so that kubectl needs no privilege to read them. */
export function isOfUser(env: Environment, own: string | undefined, startDirectory: string): boolean {
  const named = readVariable(env, 'KUBECONFIG')?.split(':') ?? [join(textOf(env, 'HOME') ?? '/', '.kube/config')];
  const files = own === undefined ? named.filter((file) => file !== '') : [own];
  return files.every((file) => isOfOther(absolutePath(startDirectory, file)));
}

/** @throws usageError for a file that is absent, or not a realm */
function readRealm(path: string): Realm {
  const text = textIn(path);
  const realm = parseTable(text ?? '');
  if (text === undefined) throw usageError(`the realm ${path} cannot be read; restore it from the repository`);
  if (typeof realm?.realm !== 'string') throw usageError(`${path} is not a realm in JSON; correct it`);
  const users = listIn(realm.users).map(({ credentials, realmRoles, username }) => ({
    name: String(username),
    password: String(listIn(credentials)[0]?.value ?? ''),
    roles: Array.isArray(realmRoles) ? realmRoles.join(', ') : '',
  }));
  return { name: realm.realm, text, users };
}

function listIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isTable) : [];
}

/** @throws usageError where the gateway would expect tokens of another issuer */
function verifyIssuer(path: string, issuer: string): string {
  const found = /^\s*issuer:\s*(["']?)(\S*?)\1\s*(?:#.*)?$/m.exec(textIn(path) ?? '')?.[2];
  if (found === issuer) return issuer;
  const said = found === undefined ? 'has no issuer, or cannot be read' : `has the issuer ${shown(found)}`;
  throw usageError(`${path} ${said}, and Keycloak's tokens will bear ${issuer}; make them agree`);
}
