// SPDX-License-Identifier: Apache-2.0

/** What is printed of a Keycloak in a cluster: its objects, and how to use it. */

import { type Command, commandText, shellQuote } from '../../process/command.ts';
import { type KeycloakConfig, VALUES_FILE } from './config.ts';
import { manifest } from './plan.ts';

/** The objects of a dry run, without what is in them. */
export function objectLines(config: KeycloakConfig): string[] {
  return manifest(config).items.map(({ kind, metadata }) => `# applies ${kind} ${metadata.name}`);
}

/** How tokens are got: through a port of this machine, of an issuer that only the cluster can reach. */
export function summaryLines({ issuer, port, realm }: KeycloakConfig, forward: Command): string[] {
  const endpoint = `http://localhost:${port}/realms/${realm.name}/protocol/openid-connect/token`;
  const form = { grant_type: 'password', client_id: 'openshell-cli' };
  const data = realm.users.map(({ name, password }) => new URLSearchParams({ ...form, username: name, password }));
  return [
    'Keycloak is ready.',
    `In-cluster issuer: ${issuer}`,
    `Helm values file: ${VALUES_FILE} (uncomment it in deploy/helm/openshell/skaffold.yaml)`,
    `For tokens, keep this running: ${commandText(forward)}`,
    ...realm.users.map(({ name, password, roles }) => `Test user: ${name} / ${password} (${roles})`),
    ...data
      .slice(0, 1)
      .map((one) => `A token: curl -s -X POST ${endpoint} -d ${shellQuote(`${one}`)} | jq -r .access_token`),
  ];
}
