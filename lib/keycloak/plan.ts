// SPDX-License-Identifier: Apache-2.0

/** The container of Keycloak, pure: the engine's arguments for it, and what the engine says of it. */

import { isTable, parseJson } from '../fs/parse-json.ts';
import { joinFields } from '../image/comma-fields.ts';

export const CONTAINER = 'openshell-keycloak';
const IMAGE = 'quay.io/keycloak/keycloak:24.0';
const IMPORTED = '/opt/keycloak/data/import/realm.json';
const PORT_OPTION = '--http-port=';

export const INSPECT = ['container', 'inspect', CONTAINER];
export const STOP = ['container', 'stop', CONTAINER];
export const REMOVE = ['container', 'rm', '--force', '--volumes', CONTAINER];
export const LOGS = ['container', 'logs', '--tail', '30', CONTAINER];

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
  const mount = ['--mount', joinFields(['type=bind', `src=${realm}`, `dst=${IMPORTED}`, 'readonly'])];
  const listen = ['--http-host=127.0.0.1', `${PORT_OPTION}${port}`];
  return [...start, ...network, ...mount, ...admin, IMAGE, 'start-dev', ...listen, '--import-realm'];
}

export interface Container {
  readonly isRunning: boolean;
  readonly exitCode: unknown;
  /** Where it is reached; 0 where it publishes nothing. */
  readonly port: number;
}

/** Reads the output of `container inspect`; `undefined` for text that is something else. */
export function readContainer(text: string): Container | undefined {
  const list = parseJson(text);
  const [found] = Array.isArray(list) ? list.filter(isTable) : [];
  if (found === undefined || !isTable(found.State)) return undefined;
  const ports =
    isTable(found.HostConfig) && isTable(found.HostConfig.PortBindings) ? found.HostConfig.PortBindings : {};
  const [published] = Object.values(ports).flat().filter(isTable);
  const option = [found.Args].flat().find((one) => String(one).startsWith(PORT_OPTION));
  const port = Number(published?.HostPort ?? String(option).slice(PORT_OPTION.length)) || 0;
  return { isRunning: found.State.Running === true, exitCode: found.State.ExitCode, port };
}
