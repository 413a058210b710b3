// SPDX-License-Identifier: Apache-2.0

/** What is printed of a Keycloak that runs. */

export const REALM = '/realms/openshell';
/** What clients read first, and what responds once the realm is imported. */
export const DISCOVERY = `${REALM}/.well-known/openid-configuration`;

export function infoLines(port: number): string[] {
  const server = `http://localhost:${port}`;
  const form = 'grant_type=password&client_id=openshell-cli&username=admin@test&password=admin';
  return [
    `Issuer URL:    ${server}${REALM}`,
    `Discovery:     ${server}${DISCOVERY}`,
    `Admin console: ${server}/admin (admin/admin)`,
    'Users:         admin@test/admin (openshell-admin), user@test/user and user-b@test/user-b (openshell-user)',
    `Get a token:   curl -s ${server}${REALM}/protocol/openid-connect/token -d '${form}' | jq -r .access_token`,
  ];
}
