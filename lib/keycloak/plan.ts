// SPDX-License-Identifier: Apache-2.0

/** The container of Keycloak: the engine's arguments for it, what the engine says of it, and how it is used. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { shown, usageError } from '../errors.ts';
import { isTable, parseJson } from '../fs/parse-json.ts';

export const ACTIONS = ['start', 'stop', 'status'] as const;
export const CONTAINER = 'openshell-keycloak';
const IMAGE = 'quay.io/keycloak/keycloak:24.0';
const IMPORTED = '/opt/keycloak/data/import/realm.json';
const REALM = '/realms/openshell';
/** What clients read first, and what responds once the realm is imported. */
export const DISCOVERY = `${REALM}/.well-known/openid-configuration`;
const PORT_OPTION = '--http-port=';
/** Where GitHub's runner has a job's checkout: in its container, and on the host, where the engine looks for it. */
const JOB_WORK = '/__w/';
const HOST_WORK = '/home/runner/_work/';

/** The arguments of the engine's program for the container. */
export const ARGUMENTS = {
  inspect: ['container', 'inspect', CONTAINER],
  stop: ['container', 'stop', CONTAINER],
  remove: ['container', 'rm', '--force', '--volumes', CONTAINER],
  logs: ['container', 'logs', '--tail', '30', CONTAINER],
} as const;

/** @throws usageError where there is no such file */
export function verifyRealm(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
  throw usageError(`${shown(path)} does not exist; get it back from the repository, or check OPENSHELL_ROOT`);
}

/** The realm's path on the host of a job's container. @throws usageError where that is not known, or no file */
export function hostRealm(realm: string, hostWork = HOST_WORK): string {
  if (realm.startsWith(JOB_WORK)) return verifyRealm(join(hostWork, realm.slice(JOB_WORK.length)));
  throw usageError(`${shown(realm)} is not below ${JOB_WORK}, so its path on the host is unknown; check it out there`);
}

/**
 * The arguments that start it, for this machine alone: everybody knows the password of its administrator.
 * @param realm the file for the engine
 * @param job the container of a CI job, whose network it shares; `undefined` on a machine of its own
 */
export function runArguments(port: number, realm: string, job: string | undefined): string[] {
  const admin = ['--env', 'KEYCLOAK_ADMIN=admin', '--env', 'KEYCLOAK_ADMIN_PASSWORD=admin'];
  const start = ['run', '--detach', '--name', CONTAINER];
  if (job === undefined) {
    const place = ['--publish', `127.0.0.1:${port}:8080`, '--volume', `${realm}:${IMPORTED}:ro,z`];
    return [...start, ...place, ...admin, IMAGE, 'start-dev', '--import-realm'];
  }
  const network = ['--network', `container:${job}`, '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'];
  // Unlike a volume, a mount whose source is not there fails.
  const mount = ['--mount', `type=bind,src=${realm},dst=${IMPORTED},readonly`];
  const listen = ['--http-host=127.0.0.1', `${PORT_OPTION}${port}`];
  return [...start, ...network, ...mount, ...admin, IMAGE, 'start-dev', ...listen, '--import-realm'];
}

export type Container = NonNullable<ReturnType<typeof readContainer>>;

/** Reads the output of `container inspect`; `undefined` for text that is something else. */
export function readContainer(text: string) {
  const [found] = [parseJson(text)].flat().filter(isTable);
  if (found === undefined || !isTable(found.State)) return undefined;
  const { PortBindings } = isTable(found.HostConfig) ? found.HostConfig : {};
  const [published] = Object.values(PortBindings ?? {})
    .flat()
    .filter(isTable);
  const option = [found.Args].flat().find((one) => String(one).startsWith(PORT_OPTION));
  // 0 where it publishes nothing.
  const port = Number(published?.HostPort ?? String(option).slice(PORT_OPTION.length)) || 0;
  return { isRunning: found.State.Running === true, exitCode: found.State.ExitCode, port };
}

export function infoLines(port: number): string[] {
  const server = `http://localhost:${port}`;
  return [
    `Issuer URL:    ${server}${REALM}`,
    `Discovery:     ${server}${DISCOVERY}`,
    `Admin console: ${server}/admin (admin/admin)`,
    ...userLines(server),
  ];
}

/** The users of the realm, and how one of them gets a token. */
export function userLines(server: string): string[] {
  const form = 'grant_type=password&client_id=openshell-cli&username=admin@test&password=admin';
  return [
    'Users:         admin@test/admin (openshell-admin), user@test/user and user-b@test/user-b (openshell-user)',
    `Get a token:   curl -s ${server}${REALM}/protocol/openid-connect/token -d '${form}' | jq -r .access_token`,
  ];
}
